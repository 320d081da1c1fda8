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
mod copy;
mod counters;
mod credentials;
mod download;
mod endpoint;
mod error;
mod exchange;
mod framing;
mod health;
mod listing;
mod mapping;
mod multipart;
mod objects;
mod pool;
mod request;
mod response;
mod tagging;
#[cfg(test)]
mod tests;
mod tls;
mod xml;

pub use counters::Counters;
pub use credentials::CredentialsSource;
pub use endpoint::Endpoint;
pub use error::Error;
pub use mapping::{BucketPattern, Mapping, Mappings};

use super::{
    Backend, BucketInfo, CompletedPart, Deleted, Object, ObjectPage, PartPage, Tagging, Upload,
    UploadPage, Written,
};
use crate::authz::Granted;
use crate::s3::call::{
    CompleteMultipartUpload, CopyObject, CreateBucket, CreateMultipartUpload, DeleteObject,
    ListBuckets, ListMultipartUploads, ListObjects, ListParts, OnBucket, OnObject, OnUpload,
    PutObject, ReadObject, UploadPart, UploadPartCopy,
};
use crate::s3::{self, TagSet};
use async_trait::async_trait;
use client::Client;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How uploaded bytes are protected on their way to an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Payload {
    /// What works everywhere: `UNSIGNED-PAYLOAD` over https and Unix sockets, signed chunks over
    /// http; with `checksums`, a checksum trailer.
    #[default]
    Auto,
    /// `UNSIGNED-PAYLOAD`: the least work. AWS takes it over https only. With `checksums`, an upload
    /// whose client gives a checksum at its end has it in an unsigned trailer.
    Unsigned,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`: every 64 KiB signed; with `checksums`, a client's
    /// checksum in a signed trailer.
    SignedChunks,
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER` over https, `STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`
    /// otherwise: a checksum behind the body. AWS, MinIO since 2023, Ceph since 18.2.
    ChecksumTrailer,
}

/// How long an upstream may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To resolve, to connect with TLS, or to wait for a free connection, each.
    pub connect: Duration,
    /// From the end of a request to its answer's head, and between two pieces of a body.
    pub read: Duration,
    /// For one piece of a body to be taken.
    pub write: Duration,
    /// For an answer that is a document, head and all, of operations that an upstream may think
    /// about (completing an upload, copies).
    pub total: Duration,
    /// How long an idle connection is kept.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            read: Duration::from_secs(60),
            write: Duration::from_secs(60),
            total: Duration::from_secs(300),
            // Shorter than servers' own (AWS 20 s, nginx and Ceph 65 s and more), so that the pool
            // seldom holds what its server is about to close.
            idle: Duration::from_secs(15),
        }
    }
}

/// The definition of an upstream.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its name, for logs and metrics; clients never see it.
    pub name: String,
    /// `https://host[:port]`, `http://host[:port]` or `unix:/path`.
    pub endpoint: String,
    /// The region to sign for.
    pub region: String,
    /// A PEM file of the only authorities to trust it by; `None` is the system's.
    pub ca: Option<PathBuf>,
    /// `https://host/bucket/key` rather than `https://bucket.host/key`. Addresses and sockets are
    /// always asked so.
    pub path_style: bool,
    /// How uploads are protected on their way.
    pub payload: Payload,
    /// Whether it stores and returns `x-amz-checksum-*`. Where it does not, a checksum that a client
    /// gives in a header is kept in internal metadata; one in a trailer comes too late for that.
    pub checksums: bool,
    /// Where our credentials come from.
    pub credentials: CredentialsSource,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// The most connections at a time.
    pub max_connections: usize,
}

/// A remote S3 store with the mappings of the routes that lead to it.
#[derive(Clone, Debug)]
pub struct Upstream {
    client: Arc<Client>,
    mappings: Arc<Mappings>,
}

impl Upstream {
    /// Makes a client; nothing is connected yet.
    ///
    /// # Errors
    /// [`Error::Config`] for an endpoint, authority file or limit that makes no sense.
    pub fn new(config: Config, mappings: Mappings) -> Result<Self, Error> {
        Ok(Self {
            client: Arc::new(Client::new(config)?),
            mappings: Arc::new(mappings),
        })
    }

    /// The definition's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.client.name
    }

    /// Its numbers, for metrics.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        &self.client.counters
    }

    fn place<'a>(&'a self, bucket: &'a s3::BucketName) -> mapping::Place<'a> {
        self.mappings.place(bucket)
    }
}

#[async_trait]
impl Backend for Upstream {
    async fn list_buckets(
        &self,
        _call: Granted<&ListBuckets>,
    ) -> Result<Vec<BucketInfo>, s3::Error> {
        buckets::list(&self.client, &self.mappings).await
    }

    async fn create_bucket(&self, call: Granted<&CreateBucket>) -> Result<(), s3::Error> {
        buckets::create(&self.client, self.place(&call.bucket)).await
    }

    async fn delete_bucket(&self, call: Granted<&OnBucket>) -> Result<(), s3::Error> {
        buckets::delete(&self.client, self.place(&call.bucket)).await
    }

    async fn head_bucket(&self, call: Granted<&OnBucket>) -> Result<BucketInfo, s3::Error> {
        buckets::head(&self.client, self.place(&call.bucket), &call.bucket).await
    }

    async fn list_objects(&self, call: Granted<&ListObjects>) -> Result<ObjectPage, s3::Error> {
        listing::objects(&self.client, self.place(&call.bucket), &call).await
    }

    async fn get_object(&self, call: Granted<&ReadObject>) -> Result<Object, s3::Error> {
        objects::get(&self.client, self.place(&call.bucket), &call).await
    }

    async fn head_object(&self, call: Granted<&ReadObject>) -> Result<Object, s3::Error> {
        objects::head(&self.client, self.place(&call.bucket), &call).await
    }

    async fn put_object(
        &self,
        call: Granted<&PutObject>,
        body: &mut dyn Upload,
    ) -> Result<Written, s3::Error> {
        objects::put(&self.client, self.place(&call.bucket), &call, body).await
    }

    async fn delete_object(&self, call: Granted<&DeleteObject>) -> Result<Deleted, s3::Error> {
        objects::delete(&self.client, self.place(&call.bucket), &call).await
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
        objects::delete_all(&self.client, self.place(&first.bucket), calls).await
    }

    async fn copy_object(&self, call: Granted<&CopyObject>) -> Result<Written, s3::Error> {
        let source = self.place(&call.source.bucket);
        copy::object(&self.client, source, self.place(&call.bucket), call).await
    }

    async fn get_object_tagging(&self, call: Granted<&OnObject>) -> Result<Tagging, s3::Error> {
        tagging::get(&self.client, self.place(&call.bucket), &call).await
    }

    async fn put_object_tagging(
        &self,
        call: Granted<&OnObject>,
        tags: &TagSet,
    ) -> Result<Option<String>, s3::Error> {
        tagging::put(&self.client, self.place(&call.bucket), &call, tags).await
    }

    async fn delete_object_tagging(
        &self,
        call: Granted<&OnObject>,
    ) -> Result<Option<String>, s3::Error> {
        tagging::delete(&self.client, self.place(&call.bucket), &call).await
    }

    async fn create_multipart_upload(
        &self,
        call: Granted<&CreateMultipartUpload>,
    ) -> Result<String, s3::Error> {
        multipart::create(&self.client, self.place(&call.bucket), &call).await
    }

    async fn upload_part(
        &self,
        call: Granted<&UploadPart>,
        body: &mut dyn Upload,
    ) -> Result<Written, s3::Error> {
        multipart::part(&self.client, self.place(&call.upload.bucket), &call, body).await
    }

    async fn upload_part_copy(&self, call: Granted<&UploadPartCopy>) -> Result<Written, s3::Error> {
        let source = self.place(&call.source.bucket);
        copy::part(&self.client, source, self.place(&call.upload.bucket), call).await
    }

    async fn complete_multipart_upload(
        &self,
        call: Granted<&CompleteMultipartUpload>,
        parts: &[CompletedPart],
    ) -> Result<Written, s3::Error> {
        multipart::complete(&self.client, self.place(&call.upload.bucket), &call, parts).await
    }

    async fn abort_multipart_upload(&self, call: Granted<&OnUpload>) -> Result<(), s3::Error> {
        multipart::abort(&self.client, self.place(&call.bucket), &call).await
    }

    async fn list_parts(&self, call: Granted<&ListParts>) -> Result<PartPage, s3::Error> {
        listing::parts(&self.client, self.place(&call.upload.bucket), &call).await
    }

    async fn list_multipart_uploads(
        &self,
        call: Granted<&ListMultipartUploads>,
    ) -> Result<UploadPage, s3::Error> {
        listing::uploads(&self.client, self.place(&call.bucket), &call).await
    }

    async fn health(&self) -> Result<(), s3::Error> {
        health::check(&self.client).await
    }
}
