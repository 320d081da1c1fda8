//! A remote S3 store: any endpoint over https (also with an authority of its own), http or a Unix
//! socket, through Pingora's connector.
//!
//! Every head is rendered from what was granted and signed with our own credentials; nothing of a
//! client's head is copied. Bodies stream both ways with exact lengths. What an upstream answers is
//! read with suspicion: framing, ranges, documents and errors are checked, and its names stay here.
//!
//! How a body is protected on its way ([`Payload::Auto`]): over https by TLS, over http by signed
//! chunks, which every S3 store understands since 2014. Where the upstream is known to keep
//! checksums (`checksums = true`), a checksum recomputed from the verified bytes goes behind the
//! body instead, which old Ceph and others would refuse. Not here: retries of what may have been
//! acted upon, caching, redirects.

mod answer;
mod buckets;
mod client;
mod config;
mod copy;
mod counters;
mod credentials;
mod download;
mod endpoint;
mod error;
mod exchange;
mod framing;
mod health;
mod lease;
mod listing;
mod mapping;
mod multipart;
mod names;
mod objects;
mod pool;
mod probe;
mod remote;
mod request;
mod response;
mod tagging;
#[cfg(test)]
mod tests;
mod tls;
mod verified;
mod xml;

pub use config::{Config, Payload, Timeouts};
pub use counters::Counters;
pub use credentials::CredentialsSource;
pub use endpoint::Endpoint;
pub use error::Error;
pub use mapping::{BucketPattern, Keys, Mapping, Mappings};
pub use probe::{Finding, Judgement};

use super::{
    Backend, BucketInfo, CompletedPart, Deleted, Object, ObjectPage, PartPage, Tagging, Upload,
    UploadPage, Versioning, Written,
};
use crate::authz::{AsDecided, Granted};
use crate::fair::Asker;
use crate::s3::call::{
    CompleteMultipartUpload, CopyObject, CreateBucket, CreateMultipartUpload, DeleteObject,
    ListBuckets, ListMultipartUploads, ListObjects, ListParts, OnBucket, OnObject, OnUpload,
    PutObject, ReadObject, UploadPart, UploadPartCopy,
};
use crate::s3::{self, TagSet};
use async_trait::async_trait;
use client::Client;
use lease::Connections;
use remote::Remote;
use std::sync::Arc;

impl Config {
    /// Looks whether an object of `bucket`, which is there as `mapping` says, can have that key there.
    ///
    /// # Errors
    /// `InvalidArgument` for one that the store, or a server on the way, could take for another;
    /// `KeyTooLong` where the prefix makes it so.
    pub fn takes_key(
        &self,
        mapping: &Mapping,
        bucket: &s3::BucketName,
        key: &s3::ObjectKey,
    ) -> Result<(), s3::Error> {
        let place = mapping::Place {
            bucket: bucket.as_str(),
            prefix: &mapping.key_prefix,
            keys: self.keys,
        };
        request::mapped_key(place, key).map(drop)
    }
}

/// A remote S3 store with the mappings of the routes that lead to it.
#[derive(Clone, Debug)]
pub struct Upstream {
    remote: Arc<Remote>,
    connections: Arc<Connections>,
    mappings: Arc<Mappings>,
}

impl Upstream {
    /// Makes a client; nothing is connected yet.
    ///
    /// # Errors
    /// [`Error::Config`] for an endpoint, authority file or limit that makes no sense.
    pub fn new(config: Config, mappings: Mappings) -> Result<Self, Error> {
        let endpoint = Endpoint::parse(&config.endpoint)?;
        let mappings = mappings.keeping(config.keys)?;
        let counters = Arc::default();
        let connections = Connections::new(&config, &endpoint, &counters)?;
        Ok(Self {
            remote: Arc::new(Remote::new(config, endpoint, counters)?),
            connections: Arc::new(connections),
            mappings: Arc::new(mappings),
        })
    }

    /// Everything for which [`Self::new`] refuses a definition, each with its key.
    #[must_use]
    pub fn mistakes(config: &Config) -> Vec<(&'static str, Error)> {
        let endpoint = Endpoint::parse(&config.endpoint);
        let authorities = endpoint.as_ref().ok().map(|endpoint| {
            let read = tls::authorities(endpoint, config.ca.as_deref());
            ("ca", read.map(drop))
        });
        let each = [
            ("endpoint", endpoint.map(drop)),
            ("region", remote::region(config)),
            ("max_connections", lease::most(config)),
            ("max_connections_per_caller", lease::most_per_caller(config)),
        ];
        let each = each.into_iter().chain(authorities);
        each.filter_map(|(key, read)| Some((key, read.err()?)))
            .collect()
    }

    /// The definition's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.remote.name
    }

    /// Its numbers, for metrics.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        &self.remote.counters
    }

    /// The upstream, asked on behalf of whoever `call` was granted to.
    fn by<T>(&self, call: &Granted<T>) -> Client<'_> {
        Client::new(&self.remote, &self.connections, call.asker())
    }

    /// Whether `bucket` is only some keys of a bucket there.
    #[must_use]
    pub fn is_part(&self, bucket: &s3::BucketName) -> bool {
        !self.place(bucket).prefix.is_empty()
    }

    /// What the store makes of keys, checksums and conditions in `bucket`, as clients here call it, and
    /// whether it is configured so. Objects are written and removed under a random prefix.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn probe(&self, bucket: &s3::BucketName) -> Result<Vec<Finding>, s3::Error> {
        let client = Client::new(&self.remote, &self.connections, Asker::GATEWAY);
        probe::probe(client, self.place(bucket)).await
    }

    fn place<'a>(&'a self, bucket: &'a s3::BucketName) -> mapping::Place<'a> {
        self.mappings.place(bucket)
    }
}

#[async_trait]
impl Backend for Upstream {
    async fn list_buckets(
        &self,
        call: Granted<&ListBuckets>,
    ) -> Result<Vec<BucketInfo>, s3::Error> {
        buckets::list(self.by(&call), &self.mappings).await
    }

    async fn create_bucket(&self, call: Granted<&CreateBucket>) -> Result<(), s3::Error> {
        buckets::create(self.by(&call), self.place(&call.bucket)).await
    }

    async fn delete_bucket(&self, call: Granted<&OnBucket>) -> Result<(), s3::Error> {
        buckets::delete(self.by(&call), self.place(&call.bucket)).await
    }

    async fn head_bucket(&self, call: Granted<&OnBucket>) -> Result<BucketInfo, s3::Error> {
        buckets::head(self.by(&call), self.place(&call.bucket), &call.bucket).await
    }

    async fn versioning(&self, call: Granted<&OnBucket>) -> Result<Versioning, s3::Error> {
        buckets::versioning(self.by(&call), self.place(&call.bucket)).await
    }

    async fn list_objects(&self, call: Granted<&ListObjects>) -> Result<ObjectPage, s3::Error> {
        listing::objects(self.by(&call), self.place(&call.bucket), &call).await
    }

    async fn get_object(&self, call: Granted<&ReadObject>) -> Result<Object, s3::Error> {
        objects::get(self.by(&call), self.place(&call.bucket), &call).await
    }

    async fn head_object(&self, call: Granted<&ReadObject>) -> Result<Object, s3::Error> {
        objects::head(self.by(&call), self.place(&call.bucket), &call).await
    }

    async fn put_object(
        &self,
        call: Granted<&PutObject>,
        body: &mut dyn Upload,
    ) -> Result<Written, s3::Error> {
        objects::put(self.by(&call), self.place(&call.bucket), &call, body).await
    }

    async fn delete_object(&self, call: Granted<&DeleteObject>) -> Result<Deleted, s3::Error> {
        objects::delete(self.by(&call), self.place(&call.bucket), &call).await
    }

    async fn delete_objects(
        &self,
        calls: &[Granted<DeleteObject>],
    ) -> Result<Vec<Result<Deleted, s3::Error>>, s3::Error> {
        let Some(first) = calls.first() else {
            return Ok(Vec::new());
        };
        if calls.iter().any(|call| call.bucket != first.bucket) {
            return Err(s3::Error::internal("deletions of several buckets at once"));
        }
        objects::delete_all(self.by(first), self.place(&first.bucket), calls).await
    }

    async fn copy_object(&self, call: Granted<&CopyObject>) -> Result<Written, s3::Error> {
        let source = self.place(&call.source.bucket);
        copy::object(self.by(&call), source, self.place(&call.bucket), call).await
    }

    async fn get_object_tagging(&self, call: Granted<&OnObject>) -> Result<Tagging, s3::Error> {
        tagging::get(self.by(&call), self.place(&call.bucket), &call).await
    }

    async fn put_object_tagging(
        &self,
        call: Granted<&OnObject>,
        tags: &TagSet,
    ) -> Result<Option<String>, s3::Error> {
        tagging::put(self.by(&call), self.place(&call.bucket), &call, tags).await
    }

    async fn put_object_tagging_of(
        &self,
        call: Granted<&OnObject>,
        decided: AsDecided<'_>,
        tags: &TagSet,
    ) -> Result<Option<String>, s3::Error> {
        let place = self.place(&call.bucket);
        tagging::put_of(self.by(&call), place, call, decided, tags).await
    }

    async fn delete_object_tagging(
        &self,
        call: Granted<&OnObject>,
    ) -> Result<Option<String>, s3::Error> {
        tagging::delete(self.by(&call), self.place(&call.bucket), &call).await
    }

    async fn create_multipart_upload(
        &self,
        call: Granted<&CreateMultipartUpload>,
    ) -> Result<String, s3::Error> {
        multipart::create(self.by(&call), self.place(&call.bucket), &call).await
    }

    async fn upload_part(
        &self,
        call: Granted<&UploadPart>,
        body: &mut dyn Upload,
    ) -> Result<Written, s3::Error> {
        multipart::part(self.by(&call), self.place(&call.upload.bucket), &call, body).await
    }

    async fn upload_part_copy(&self, call: Granted<&UploadPartCopy>) -> Result<Written, s3::Error> {
        let source = self.place(&call.source.bucket);
        copy::part(
            self.by(&call),
            source,
            self.place(&call.upload.bucket),
            call,
        )
        .await
    }

    async fn complete_multipart_upload(
        &self,
        call: Granted<&CompleteMultipartUpload>,
        parts: &[CompletedPart],
    ) -> Result<Written, s3::Error> {
        multipart::complete(
            self.by(&call),
            self.place(&call.upload.bucket),
            &call,
            parts,
        )
        .await
    }

    async fn abort_multipart_upload(&self, call: Granted<&OnUpload>) -> Result<(), s3::Error> {
        multipart::abort(self.by(&call), self.place(&call.bucket), &call).await
    }

    async fn list_parts(&self, call: Granted<&ListParts>) -> Result<PartPage, s3::Error> {
        listing::parts(self.by(&call), self.place(&call.upload.bucket), &call).await
    }

    async fn list_multipart_uploads(
        &self,
        call: Granted<&ListMultipartUploads>,
    ) -> Result<UploadPage, s3::Error> {
        listing::uploads(self.by(&call), self.place(&call.bucket), &call).await
    }

    async fn health(&self) -> Result<(), s3::Error> {
        health::check(Client::new(&self.remote, &self.connections, Asker::GATEWAY)).await
    }
}
