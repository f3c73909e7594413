# postern. `make run` tries it, `make test` proves it; `make help` lists the rest.
#
# The layer table below is the architecture, compiled: a layer sees only the headers it names, so an
# include against the arrows is "no such file".

MODE ?= release
ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(MODE),fuzz)
override CC := clang # libFuzzer is clang's
endif
PYTHON ?= /usr/bin/python3
BUILD := build/$(MODE)

# All cores, unless -j was given or a make above hands out the jobs.
ifeq ($(filter -j% --jobserver%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc)
endif

# layer: what it may include from
base_sees    := base
http_sees    := http base
net_sees     := net base
mail_sees    := mail net base
store_sees   := store base
session_sees := session store mail base
api_sees     := api session store mail net http base
wall_sees    := wall mail net base
main_sees    := wall $(api_sees)
LAYERS := base http net mail wall store session api main

base_dir := server/base
http_dir := server/http
net_dir := server/net
mail_dir := server/mail
wall_dir := server/wall
store_dir := server/store
session_dir := server/session
api_dir := api
main_dir := server

# One door a library: which layer may see which library's headers and flags.
PKG := pkg-config
mail_pkg := gmime-3.0
base_libs    := -lcrypto -lpthread
http_libs    := -lmicrohttpd -lz
net_libs     := -letpan -lssl -lcrypto
wall_libs    := -lseccomp
mail_libs    := -letpan $(shell $(PKG) --libs gmime-3.0 2>/dev/null)
store_libs   := -lsqlite3
api_libs     := -ljansson
main_libs    := -linih
# What one layer alone is compiled with. The API description is put into the program (.incbin).
api_flags    := -DPOSTERN_OPENAPI='"openapi.yaml"'
LIBS = $(sort $(foreach l,$(LAYERS),$($(l)_libs)))

VERSION := 0.1.0
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
        -Wformat=2 -Werror
COMMON := -std=c17 -D_GNU_SOURCE -DPOSTERN_VERSION='"$(VERSION)"' -pthread -fno-strict-aliasing -g $(WARN)

release_flags := -O2 -DNDEBUG -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE \
                 -fstack-clash-protection -fcf-protection
release_link  := -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed
debug_flags   := -O0 -fPIE
debug_link    := -pie
asan_flags    := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all -fPIE
asan_link     := -pie -fsanitize=address,undefined
tsan_flags    := -O1 -fno-omit-frame-pointer -fsanitize=thread -fPIE
tsan_link     := -pie -fsanitize=thread
# Coverage for libFuzzer in everything; its main() only in the programs of tests/fuzz.
fuzz_flags    := -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fPIE
fuzz_link     := -pie -fsanitize=fuzzer,address,undefined
MODES := release debug asan tsan fuzz
ifeq ($(filter $(MODE),$(MODES)),)
$(error MODE is one of: $(MODES))
endif

CFLAGS  := $(COMMON) $($(MODE)_flags)
LDFLAGS := $($(MODE)_link)

.DEFAULT_GOAL := build
.PHONY: build
build: $(BUILD)/postern

# Objects depend on this file, which changes when the compiler or its flags do.
FLAGS_TEXT := $(CC) $(CFLAGS) $(api_flags) / $(LDFLAGS) $(LIBS)
$(BUILD)/flags: ALWAYS
	@mkdir -p $(@D)
	@printf '%s\n' '$(subst ','\'',$(FLAGS_TEXT))' | cmp -s - $@ || \
	    printf '%s\n' '$(subst ','\'',$(FLAGS_TEXT))' > $@
.PHONY: ALWAYS

# ---- one rule set a layer ----
define layer_rules
$(1)_src  := $$(sort $$(wildcard $$($(1)_dir)/*.c))
$(1)_obj  := $$(patsubst %.c,$(BUILD)/obj/%.o,$$($(1)_src))
$(1)_inc  := -iquote $$($(1)_dir) $$(foreach s,$$($(1)_sees),-iquote include/$$(s))
$(1)_cc   := $$(if $$($(1)_pkg),$$(shell $(PKG) --cflags $$($(1)_pkg) 2>/dev/null | sed 's/-I/-isystem /g'))
$$($(1)_obj): $(BUILD)/obj/%.o: %.c $(BUILD)/flags
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS) $$($(1)_flags) $$($(1)_inc) $$($(1)_cc) -MMD -MP -c $$< -o $$@
$(BUILD)/lib/$(1).a: $$($(1)_obj)
	@mkdir -p $$(@D)
	@rm -f $$@
	ar rcs $$@ $$^
-include $$($(1)_obj:.o=.d)
endef
$(foreach l,$(LAYERS),$(eval $(call layer_rules,$(l))))

$(foreach l,$(LAYERS),$(eval SOURCES += $($(l)_src)))
# Files that put the API description into the program are made anew when it changes.
$(foreach f,$(shell grep -l POSTERN_OPENAPI $(api_src) /dev/null),$(BUILD)/obj/$(f:.c=.o)): openapi.yaml

# Link order: the top first.
LIB_ORDER := main api session store wall mail net http base
$(BUILD)/postern: $(foreach l,$(LIB_ORDER),$(BUILD)/lib/$(l).a)
	$(CC) $(LDFLAGS) -Wl,--start-group $^ -Wl,--end-group $(LIBS) -o $@

# ---- unit tests: tests/unit/<layer>/<name>.c, one program each, seeing what the layer sees ----
# Session tests run on the contract's in-memory backend.
MEMORY_BACKEND := $(filter-out %_fixture.c,$(wildcard tests/contract/memory_*.c))
session_unit_extra := $(MEMORY_BACKEND)
wall_unit_extra := $(MEMORY_BACKEND)
session_links := net
UNIT_LAYERS := base http net mail wall store session api main
define unit_rules
$(1)_unit_src := $$(sort $$(wildcard tests/unit/$(1)/*.c))
$(1)_unit_bin := $$(patsubst tests/unit/%.c,$(BUILD)/unit/%,$$($(1)_unit_src))
$$($(1)_unit_bin): $(BUILD)/unit/%: tests/unit/%.c $$($(1)_unit_extra) $(BUILD)/flags \
    $(foreach s,$(sort $(1) $($(1)_sees) $($(1)_links)),$(BUILD)/lib/$(s).a)
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS) -Wno-missing-prototypes $$($(1)_flags) $$($(1)_inc) $$($(1)_links:%=-iquote include/%) $$($(1)_cc) -iquote tests/unit \
	    -iquote tests/contract $$(LDFLAGS) $$(filter %.c,$$^) \
	    -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group -lcmocka $$(LIBS) -o $$@
$$($(1)_unit_bin): $$(wildcard tests/unit/$(1)/*.h tests/contract/*.h include/*/*.h)
UNIT_BIN += $$($(1)_unit_bin)
.PHONY: unit-$(1)
unit-$(1): $$($(1)_unit_bin)
	@$(PYTHON) tests/run_unit.py $$($(1)_unit_bin)
endef
$(foreach l,$(UNIT_LAYERS),$(eval $(call unit_rules,$(l))))
.PHONY: unit
unit: $(UNIT_BIN)
	@$(PYTHON) tests/run_unit.py $(UNIT_BIN)

# ---- contract: one suite, one program for each backend ----
CONTRACTS := $(BUILD)/contract/memory $(BUILD)/contract/imap $(BUILD)/contract/walled
$(BUILD)/contract/memory $(BUILD)/contract/walled: $(MEMORY_BACKEND)
$(BUILD)/contract/walled: $(BUILD)/lib/wall.a
$(CONTRACTS): $(BUILD)/contract/%: tests/contract/contract.c tests/contract/%_fixture.c $(BUILD)/flags \
    $(foreach l,mail net base,$(BUILD)/lib/$(l).a)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -Wno-missing-prototypes -iquote tests/contract -iquote include/mail -iquote include/base \
	    -iquote include/net -iquote include/wall -iquote server/wall $(LDFLAGS) $(filter %.c,$^) \
	    -Wl,--start-group $(filter %.a,$^) -Wl,--end-group -lcmocka $(LIBS) -o $@
$(CONTRACTS): $(wildcard tests/contract/*.h include/mail/*.h include/base/*.h include/net/*.h include/wall/*.h server/wall/*.h)
.PHONY: contract
contract: $(CONTRACTS)
	@$(PYTHON) tests/contract/run.py $(CONTRACTS)

# ---- fuzzing: each file of tests/fuzz is one target, its seeds beside it ----
FUZZ_SEES := wall mail net base
FUZZ_BIN := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(sort $(wildcard tests/fuzz/*.c)))
ifeq ($(MODE),fuzz)
$(FUZZ_BIN): build/fuzz/%: tests/fuzz/%.c build/fuzz/flags $(foreach l,$(FUZZ_SEES),build/fuzz/lib/$(l).a)
	$(CC) $(CFLAGS) -Wno-missing-prototypes $(foreach l,$(FUZZ_SEES),-iquote $($(l)_dir) -iquote include/$(l)) $(mail_cc) \
	    $(LDFLAGS) $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS) -o $@
endif
.PHONY: fuzz fuzz-build
fuzz-build: $(FUZZ_BIN)
fuzz:
	@tests/checks/deps.sh test
	@$(PLAIN) $(MAKE) --no-print-directory -s MODE=fuzz fuzz-build
	@$(PYTHON) tests/fuzz/run.py --seconds $(or $(SECONDS_EACH),300) $(FUZZ_BIN)

# ---- lint: what a machine can judge; stamps, so that only what changed is judged again ----
LINT := build/lint
HEADERS := $(sort $(wildcard include/*/*.h server/*.h server/*/*.h api/*.h))
define lint_rules
$$(patsubst %.c,$(LINT)/clang/%.ok,$$($(1)_src)): $(LINT)/clang/%.ok: %.c $(HEADERS)
	@mkdir -p $$(@D)
	@clang $(COMMON) $$($(1)_flags) $$($(1)_inc) $$($(1)_cc) -fsyntax-only $$<
	@touch $$@
$$(patsubst %.c,$(LINT)/tidy/%.ok,$$($(1)_src)): $(LINT)/tidy/%.ok: %.c $(HEADERS) .clang-tidy
	@mkdir -p $$(@D)
	@clang-tidy --quiet --warnings-as-errors='*' $$< -- $(COMMON) $$($(1)_flags) $$($(1)_inc) $$($(1)_cc) 2>$$@.log \
	    || { cat $$@.log; exit 1; }
	@touch $$@
$$(patsubst %.h,$(LINT)/header/%.ok,$$(wildcard include/$(1)/*.h)): $(LINT)/header/%.ok: %.h $(HEADERS)
	@mkdir -p $$(@D)
	@$(CC) $(filter-out -g,$(COMMON)) $$($(1)_inc) -fsyntax-only -x c $$<
	@touch $$@
endef
$(foreach l,$(LAYERS),$(eval $(call lint_rules,$(l))))
.PHONY: lint lint-clang lint-tidy lint-headers
lint-clang: $(SOURCES:%.c=$(LINT)/clang/%.ok)
lint-tidy: $(SOURCES:%.c=$(LINT)/tidy/%.ok)
lint-headers: $(patsubst %.h,$(LINT)/header/%.ok,$(wildcard include/*/*.h))
lint:
	@tests/checks/deps.sh test
	@env -u MAKEFLAGS -u MFLAGS CC=$(CC) $(PYTHON) tests/checks/run.py

# ---- what people type; each installs by itself what it needs and the machine lacks ----
PLAIN := env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL
PYTEST := $(PYTHON) -m pytest -q -p no:cacheprovider
.PHONY: run test e2e tsan bench deps format clean install help
run:
	@tests/checks/deps.sh run
	@$(PLAIN) $(MAKE) --no-print-directory -s MODE=release CC=$(CC) build
	@exec $(PYTHON) tests/demo/demo.py --server build/release/postern --dir build/demo
test:
	@tests/checks/deps.sh test
	@$(PLAIN) CC=$(CC) $(PYTHON) tests/run_all.py test
tsan:
	@tests/checks/deps.sh test
	@$(PLAIN) CC=$(CC) $(PYTHON) tests/run_all.py tsan
# The end-to-end tests alone: make e2e ARGS='-k folders'
e2e:
	@tests/checks/deps.sh test
	@$(PLAIN) $(MAKE) --no-print-directory -s MODE=asan CC=$(CC) build
	@$(PYTEST) tests/e2e $(ARGS)
bench:
	@tests/checks/deps.sh run
	@$(PLAIN) $(MAKE) --no-print-directory -s MODE=release CC=$(CC) build
	@$(PYTHON) tests/bench/bench.py --server build/release/postern $(ARGS)
deps:
	@tests/checks/deps.sh test
format:
	clang-format -i $(wildcard api/*.[ch] include/*/*.h server/*.[ch] server/*/*.[ch] tests/unit/*/*.[ch] tests/contract/*.[ch] tests/fuzz/*.[ch])
clean:
	rm -rf build
PREFIX ?= /usr/local
install: $(BUILD)/postern
	install -D -m 755 $(BUILD)/postern $(DESTDIR)$(PREFIX)/bin/postern
	install -D -m 644 docker/postern.service $(DESTDIR)$(PREFIX)/lib/systemd/system/postern.service
help:
	@echo 'make          build/$(MODE)/postern        (MODE=release|debug|asan|tsan, CC=gcc|clang)'
	@echo 'make run      postern before a private mail server with sample mail, at 127.0.0.1:8025'
	@echo 'make test     lint, unit, contract and end-to-end tests under ASan and UBSan'
	@echo 'make tsan     the concurrency tests under ThreadSanitizer'
	@echo 'make bench    speed and memory against the private mail server'
	@echo 'make lint     the checks alone        make unit-LAYER MODE=asan   one layer'"'"'s unit tests'
	@echo 'make contract one suite, every backend  make e2e ARGS="-k NAME"   end-to-end tests alone'
	@echo 'make fuzz     every fuzz target for SECONDS_EACH=300'
	@echo 'make deps     install what Debian lacks   make format   make clean   make install PREFIX=...'
