# shellcheck shell=bash
# title: through the hook socket: virt-launcher's three calls, then libvirt starts the result
# boot: intel_iommu=on
cni_add $VF_A $MAC_A
cni_add $VF_B $MAC_B $VLAN_B
vmi "net-a=$MAC_A" "net-b=$MAC_B" >$RUN/vmi.json
network_info "net-a=$VF_A=$MAC_A" "net-b=$VF_B=$MAC_B" >$RUN/network-info.json
plugin_variables $VF_B $VF_A >$RUN/environ
domain socket >$RUN/domain.xml
libvirt_start

# As the sidecar of a pod: the variables are its own environment.
mkdir -p $RUN/kubevirt-hooks/hook-sidecar-0
mapfile -t variables <$RUN/environ
env "${variables[@]}" "$LAUNCHER_HOOK" serve --socket-dir $RUN/kubevirt-hooks/hook-sidecar-0 \
    --network-info $RUN/network-info.json >$RUN/serve.log 2>&1 &
server=$!
trap 'kill -9 $server 2>/dev/null' EXIT
socket_there() { [ -n "$(find $RUN/kubevirt-hooks -type s)" ]; }
wait_for 20 "a hook socket ($(cat $RUN/serve.log))" socket_there

define_by_socket() { "$HOOK_CLIENT" $RUN/kubevirt-hooks $RUN/vmi.json "$1" || fail "the call with $1 failed; the server said: $(cat $RUN/serve.log)"; }
define_by_socket $RUN/domain.xml >$RUN/first.xml
virsh define $RUN/first.xml >/dev/null || fail "libvirt refused the first answer"
virsh dumpxml --inactive socket >$RUN/second-question.xml
define_by_socket $RUN/second-question.xml >$RUN/second.xml
same_file "the second call changed a domain that was complete" $RUN/second-question.xml $RUN/second.xml
define_by_socket $RUN/second.xml >$RUN/third.xml
same_file "the third call changed a domain that was complete" $RUN/second.xml $RUN/third.xml

guest_start $RUN/third.xml
qtree_has socket $VF_A ua-sriov-net-a
qtree_has socket $VF_B ua-sriov-net-b
guest_says socket "up "
guest_says socket "ping .* $MAC_A 10.9.1.1 4 answered"
guest_says socket "ping .* $MAC_B 10.9.3.1 4 answered"

kill -TERM $server
gone() { ! kill -0 $server; }
wait_for 20 "the server to end on SIGTERM" gone
wait $server
expect_equal "the server's exit status" 0 $?
expect_equal "sockets left behind" "" "$(find $RUN/kubevirt-hooks -type s)"
