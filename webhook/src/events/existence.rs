//! Whether a VMI exists: anybody who can reach the port can name one.

use std::future::Future;
use std::pin::Pin;

use kube::api::DynamicObject;
use kube::{Api, Client, Error};

use super::VmiReference;
use crate::kinds::VMIS;

/// A look-up of a VMI.
pub(super) type LookUp<'a> = Pin<Box<dyn Future<Output = Result<bool, Error>> + Send + 'a>>;

/// Whether there is a VMI of this name and uid. Only its metadata is requested.
pub(super) fn exists<'a>(client: &'a Client, vmi: &'a VmiReference) -> LookUp<'a> {
    Box::pin(async move {
        let vmis: Api<DynamicObject> =
            Api::namespaced_with(client.clone(), &vmi.namespace, &VMIS.api_resource());
        let found = vmis.get_metadata_opt(&vmi.name).await?;
        Ok(found.and_then(|found| found.metadata.uid).is_some_and(|uid| uid == vmi.uid))
    })
}
