//! Whether a VMI exists: anybody who can reach the port can name one.

use std::future::Future;
use std::pin::Pin;

use contract::kubevirt;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client, Error};

use super::VmiReference;

/// A look-up of a VMI.
pub(super) type LookUp<'a> = Pin<Box<dyn Future<Output = Result<bool, Error>> + Send + 'a>>;

/// Whether there is a VMI of this name and uid. Only its metadata is requested.
pub(super) fn exists<'a>(client: &'a Client, vmi: &'a VmiReference) -> LookUp<'a> {
    Box::pin(async move {
        let (group, version) = kubevirt::VMI_API_VERSION.split_once('/').unwrap_or_default();
        let kind = GroupVersionKind::gvk(group, version, kubevirt::VMI_KIND);
        let resource = ApiResource::from_gvk_with_plural(&kind, kubevirt::VMI_PLURAL);
        let vmis: Api<DynamicObject> = Api::namespaced_with(client.clone(), &vmi.namespace, &resource);
        let found = vmis.get_metadata_opt(&vmi.name).await?;
        Ok(found.and_then(|found| found.metadata.uid).is_some_and(|uid| uid == vmi.uid))
    })
}
