# shellcheck shell=bash
# title: check: all well; vfio-pci not loaded, a VF on its network driver, a group of several: found, with remedy
# boot: intel_iommu=on

# check_finds STATE CHECK PATTERN: `check` ends with 1 where STATE is missing, and says so in both outputs.
# Leaves the remedy in $remedy.
check_finds() {
    local status=0
    "$LAUNCHER_HOOK" check --output json >$RUN/check.json || status=$?
    "$LAUNCHER_HOOK" check --output table >$RUN/check.table.log
    expect_equal "exit status of check when something is $1" "$([ "$1" = missing ] && echo 1 || echo 0)" $status
    remedy=$(python3 - "$@" $RUN/check.json <<'PYTHON'
import json, re, sys
state, check, pattern, file = sys.argv[1:]
for finding in json.load(open(file))["findings"]:
    if finding["state"] == state and finding["check"] == check and re.search(pattern, finding["found"]):
        print(finding.get("remedy", ""))
        sys.exit()
sys.exit(1)
PYTHON
    ) || fail "check does not find ($*): $(cat $RUN/check.json)"
    [ "$1" = ok ] || [ -n "$remedy" ] || fail "no remedy for ($*)"
    tr -s ' \n│|' '    ' <$RUN/check.table.log >$RUN/check.words.log
    grep -qE "$3" $RUN/check.words.log || fail "the table does not say '$3': $(cat $RUN/check.table.log)"
}

all_vfs=($VF_A $VF_B $VF_C 0000:01:10.6)
all_to() {
    local vf
    for vf in "${all_vfs[@]}"; do vf_bind "$vf" "$1"; done
}

echo "== all well"
all_to vfio-pci
check_finds ok vfio-pci loaded
check_finds ok iommu 'on '
for vf in "${all_vfs[@]}"; do check_finds ok vf "$vf: vfio-pci"; done

echo "== vfio-pci not loaded, and its remedy"
all_to ""
modprobe -r vfio-pci || fail "vfio-pci does not unload"
check_finds missing vfio-pci 'not loaded'
eval "${remedy%%;*}" || fail "the remedy does not run: $remedy"
[ -d /sys/bus/pci/drivers/vfio-pci ] || fail "the remedy did not load vfio-pci: $remedy"

echo "== a VF on its network driver, and its remedy"
vf_bind $VF_A igbvf
check_finds missing vf "$VF_A: igbvf"
(eval "$remedy") || fail "the remedy does not run: $remedy"
expect_equal "driver after the remedy ($remedy)" vfio-pci "$(vf_driver $VF_A)"
all_to vfio-pci
check_finds ok vf "$VF_A: vfio-pci"

echo "== a group of several"
vfs_make $CROWDED_PF 1
crowded=${CROWDED_PF%%00.0}10.0
vf_bind "$crowded" vfio-pci
check_finds missing group "$crowded"
expect_line "who is in the group" "${CROWDED_PF}" "$(cat $RUN/check.json)"
vf_bind "$crowded" ""
vfs_make $CROWDED_PF 0
