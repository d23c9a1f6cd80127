//! Stands in for Multus: the pod's default network, then each network that its annotation names, and the
//! network status on the pod.
//!
//! Devices are assigned as Multus 4.3 does: the IDs of a resource sorted, the selections in order.

use super::cni::Call;
use super::device_plugin::connect;
use super::kubelet::v1::ListPodResourcesRequest;
use super::kubelet::v1::pod_resources_lister_client::PodResourcesListerClient;
use super::sriovdp::device_info_file;
use crate::api_server::nads;
use anyhow::{Context as _, bail};
use contract::{NetworkSelection, annotation, parse_networks};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const STATE: &str = "/var/lib/cni/kubevirt-sriov-fakes";
const POD_RESOURCES: &str = "/var/lib/kubelet/pod-resources/kubelet.sock";

/// Device IDs by resource, those that are not given out yet.
type Devices = BTreeMap<String, Vec<String>>;

/// Attaches the pod to its networks; the result is the default network's.
pub async fn add(call: &Call) -> anyhow::Result<Value> {
    let client = client(call).await?;
    let (namespace, name) = (argument(call, "K8S_POD_NAMESPACE")?, argument(call, "K8S_POD_NAME")?);
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pod = pods.get(name).await.with_context(|| format!("pod {namespace}/{name}"))?;
    let networks = pod.metadata.annotations.unwrap_or_default();
    let networks = networks.get(annotation::NETWORKS).map(String::as_str).unwrap_or_default();
    let selections = parse_networks(networks, namespace).context(annotation::NETWORKS)?;
    let mut devices = devices_of(namespace, name).await?;

    let mut delegates = vec![default_network(call)?];
    for (index, selection) in selections.iter().enumerate() {
        delegates.push(further_network(&client, call, index, selection, &mut devices).await?);
    }
    // Before anything is done, so that whatever happens is undone.
    let record: Vec<Value> = delegates.iter().map(Delegate::record).collect();
    fs::create_dir_all(STATE)?;
    fs::write(state(call), json!(record).to_string())?;
    match attach(&delegates) {
        Ok((result, status)) => {
            let patch = json!({"metadata": {"annotations": {
                annotation::NETWORK_STATUS: serde_json::to_string_pretty(&status)?,
            }}});
            pods.patch_status(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
            Ok(result)
        }
        Err(error) => {
            // The first error is the one to tell.
            let _ = delete(call);
            Err(error)
        }
    }
}

/// Detaches what was attached, the last first.
pub fn delete(call: &Call) -> anyhow::Result<()> {
    let Ok(record) = fs::read_to_string(state(call)) else {
        return Ok(());
    };
    let record: Vec<Value> = serde_json::from_str(&record)?;
    for attached in record.into_iter().rev() {
        let interface = attached["interface"].as_str().unwrap_or_default().to_owned();
        let configuration = attached["configuration"].clone();
        Call { command: "DEL".to_owned(), interface, configuration, ..call.clone() }.run()?;
    }
    Ok(fs::remove_file(state(call))?)
}

/// A network to attach to, and what to tell of it.
struct Delegate {
    name: String,
    is_default: bool,
    device_info: Option<Value>,
    call: Call,
}

impl Delegate {
    fn record(&self) -> Value {
        json!({"interface": self.call.interface, "configuration": self.call.configuration})
    }

    fn status(&self, result: &Value) -> Value {
        let interfaces = result["interfaces"].as_array().into_iter().flatten();
        let own = { interfaces }.find(|interface| interface["name"] == self.call.interface.as_str());
        let addresses = result["ips"].as_array().into_iter().flatten();
        let addresses =
            addresses.filter_map(|ip| Some(ip["address"].as_str()?.split('/').next()?.to_owned()));
        let addresses: Vec<String> = addresses.collect();
        let mut status = json!({"name": self.name, "interface": self.call.interface, "dns": {}});
        if !addresses.is_empty() {
            status["ips"] = json!(addresses);
        }
        if let Some(mac) = own.and_then(|own| own["mac"].as_str()) {
            status["mac"] = json!(mac);
        }
        if self.is_default {
            status["default"] = json!(true);
        }
        if let Some(information) = &self.device_info {
            status["device-info"] = information.clone();
        }
        status
    }
}

fn attach(delegates: &[Delegate]) -> anyhow::Result<(Value, Vec<Value>)> {
    let mut first = Value::Null;
    let mut status = Vec::new();
    for delegate in delegates {
        let result = delegate.call.run().with_context(|| format!("attaching {}", delegate.name))?;
        status.push(delegate.status(&result));
        if delegate.is_default {
            first = result;
        }
    }
    Ok((first, status))
}

fn default_network(call: &Call) -> anyhow::Result<Delegate> {
    let configuration = call.configuration["delegates"][0].clone();
    let name =
        configuration["name"].as_str().context("no delegates[0].name in the configuration")?.to_owned();
    let call = Call { configuration, ..call.clone() };
    Ok(Delegate { name, is_default: true, device_info: None, call })
}

async fn further_network(
    client: &Client,
    call: &Call,
    index: usize,
    selection: &NetworkSelection,
    devices: &mut Devices,
) -> anyhow::Result<Delegate> {
    let NetworkSelection { nad, interface, mac, .. } = selection;
    let found =
        nads(client.clone(), nad.namespace()).get(nad.name()).await.with_context(|| format!("NAD {nad}"))?;
    let text =
        found.data["spec"]["config"].as_str().with_context(|| format!("NAD {nad} has no spec.config"))?;
    let mut configuration: Value = serde_json::from_str(text).with_context(|| format!("NAD {nad}"))?;
    let mut device_info = None;
    if let Some(resource) = found.metadata.annotations.unwrap_or_default().get(annotation::RESOURCE_NAME) {
        let left = devices.get_mut(resource).filter(|left| !left.is_empty());
        let Some(left) = left else {
            bail!("NAD {nad} needs a device of {resource}, and the pod has none left");
        };
        let device = left.remove(0);
        let information = fs::read_to_string(device_info_file(resource, &device));
        device_info = information.ok().and_then(|text| serde_json::from_str(&text).ok());
        configuration["deviceID"] = json!(device);
    }
    let mut arguments = call.arguments.clone();
    if let Some(mac) = mac {
        if configuration["capabilities"]["mac"] == true {
            configuration["runtimeConfig"]["mac"] = json!(mac.to_string());
        }
        arguments.insert("MAC".to_owned(), mac.to_string());
        arguments.insert("IgnoreUnknown".to_owned(), "true".to_owned());
    }
    let interface = interface.clone().unwrap_or_else(|| format!("net{}", index + 1));
    let call = Call { interface, arguments, configuration, ..call.clone() };
    Ok(Delegate { name: nad.to_string(), is_default: false, device_info, call })
}

async fn devices_of(namespace: &str, name: &str) -> anyhow::Result<Devices> {
    let mut kubelet = PodResourcesListerClient::new(connect(Path::new(POD_RESOURCES)).await?);
    let pods = kubelet.list(ListPodResourcesRequest {}).await.context("asking the kubelet for devices")?;
    let pods = pods.into_inner().pod_resources.into_iter();
    let ours = pods.filter(|pod| pod.namespace == namespace && pod.name == name);
    let mut devices = Devices::new();
    for device in ours.flat_map(|pod| pod.containers).flat_map(|container| container.devices) {
        devices.entry(device.resource_name).or_default().extend(device.device_ids);
    }
    devices.values_mut().for_each(|ids| ids.sort());
    Ok(devices)
}

async fn client(call: &Call) -> anyhow::Result<Client> {
    let kubeconfig =
        call.configuration["kubeconfig"].as_str().context("no kubeconfig in the configuration")?;
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

fn argument<'c>(call: &'c Call, key: &str) -> anyhow::Result<&'c str> {
    call.arguments.get(key).map(String::as_str).with_context(|| format!("no {key} in CNI_ARGS"))
}

fn state(call: &Call) -> PathBuf {
    Path::new(STATE).join(format!("{}.multus", call.container))
}
