# shellcheck shell=bash
# title: check on a host with the IOMMU off: found, with remedy
# boot: intel_iommu=off
status=0
"$LAUNCHER_HOOK" check --output json >$RUN/check.json || status=$?
expect_equal "exit status of check" 1 $status
"$LAUNCHER_HOOK" check --output table >$RUN/check.table.log
python3 - $RUN/check.json <<'PYTHON' || fail "check does not find that the IOMMU is off, or knows no remedy: $(cat $RUN/check.json)"
import json, sys
report = json.load(open(sys.argv[1]))
found = [finding for finding in report["findings"] if finding["check"] == "iommu"]
ok = not report["fit"] and len(found) == 1 and found[0]["state"] == "missing"
sys.exit(not (ok and found[0]["found"].startswith("off") and "intel_iommu=on" in found[0]["remedy"]))
PYTHON
expect_line "the table" "iommu.* off" "$(cat $RUN/check.table.log)"
