# postern. `make run` tries it, `make test` proves it; `make help` lists the rest.
#
# The layer table below is the architecture, compiled: a layer sees only the headers it names, so an
# include against the arrows is "no such file".

MODE ?= release
CC ?= gcc
PYTHON ?= /usr/bin/python3
BUILD := build/$(MODE)

# layer: what it may include from
base_sees    := base
http_sees    := http base
net_sees     := net base
mail_sees    := mail net base
store_sees   := store base
session_sees := session store mail base
api_sees     := api session store mail net http base
main_sees    := $(api_sees) settings
LAYERS := base http net mail store session api main

base_dir := server/base
http_dir := server/http
net_dir := server/net
mail_dir := server/mail
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
mail_libs    := -letpan $(shell $(PKG) --libs gmime-3.0 2>/dev/null)
store_libs   := -lsqlite3
api_libs     := -ljansson
main_libs    := -linih
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
MODES := release debug asan tsan
ifeq ($(filter $(MODE),$(MODES)),)
$(error MODE is one of: $(MODES))
endif

CFLAGS  := $(COMMON) $($(MODE)_flags)
LDFLAGS := $($(MODE)_link)

.DEFAULT_GOAL := build
.PHONY: build
build: $(BUILD)/postern

# ---- one rule set a layer ----
define layer_rules
$(1)_src  := $$(sort $$(wildcard $$($(1)_dir)/*.c))
$(1)_obj  := $$(patsubst %.c,$(BUILD)/obj/%.o,$$($(1)_src))
$(1)_inc  := -iquote $$($(1)_dir) $$(foreach s,$$($(1)_sees),-iquote include/$$(s))
$(1)_cc   := $$(if $$($(1)_pkg),$$(shell $(PKG) --cflags $$($(1)_pkg) 2>/dev/null | sed 's/-I/-isystem /g'))
$$($(1)_obj): $(BUILD)/obj/%.o: %.c
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS) $$($(1)_inc) $$($(1)_cc) -MMD -MP -c $$< -o $$@
$(BUILD)/lib/$(1).a: $$($(1)_obj)
	@mkdir -p $$(@D)
	@rm -f $$@
	ar rcs $$@ $$^
-include $$($(1)_obj:.o=.d)
endef
$(foreach l,$(LAYERS),$(eval $(call layer_rules,$(l))))

# Link order: the top first.
LIB_ORDER := main api session store mail net http base
$(BUILD)/postern: $(foreach l,$(LIB_ORDER),$(BUILD)/lib/$(l).a)
	$(CC) $(LDFLAGS) -Wl,--start-group -Wl,--whole-archive $(BUILD)/lib/main.a -Wl,--no-whole-archive \
	    $(filter-out %/main.a,$^) -Wl,--end-group $(LIBS) -o $@

# ---- unit tests: tests/unit/<layer>/<name>.c, one program each, seeing what the layer sees ----
define unit_rules
$(1)_unit_src := $$(sort $$(wildcard tests/unit/$(1)/*.c))
$(1)_unit_bin := $$(patsubst tests/unit/%.c,$(BUILD)/unit/%,$$($(1)_unit_src))
$$($(1)_unit_bin): $(BUILD)/unit/%: tests/unit/%.c $$(foreach s,$$(filter-out main settings,$$($(1)_sees)),$(BUILD)/lib/$$(s).a)
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS) -Wno-missing-prototypes $$($(1)_inc) $$($(1)_cc) -iquote tests/unit -MMD -MP $$(LDFLAGS) $$< \
	    -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group -lcmocka $$(LIBS) -o $$@
-include $$($(1)_unit_bin:=.d)
.PHONY: unit-$(1)
unit-$(1): $$($(1)_unit_bin)
	@$(PYTHON) tests/run_unit.py $$($(1)_unit_bin)
endef
UNIT_LAYERS := base http net mail store session api
$(foreach l,$(UNIT_LAYERS),$(eval $(call unit_rules,$(l))))
