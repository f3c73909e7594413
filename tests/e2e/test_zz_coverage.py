"""After all other tests: what openapi.yaml promises was asked for."""

import os

import pytest


@pytest.mark.last
@pytest.mark.skipif("POSTERN_E2E_COMPLETE" not in os.environ, reason="only after all tests have run")
def test_every_operation_of_openapi_was_exercised(contract):
    assert contract.operations
    assert contract.unexercised() == []
