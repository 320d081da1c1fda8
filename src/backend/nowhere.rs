//! A store that is not there: stands for the disk while a configuration is only checked.

use async_trait::async_trait;

use super::{
    Backend, BucketInfo, CompletedPart, Deleted, Object, ObjectPage, PartPage, Tagging, Upload,
    UploadPage, Versioning, Written,
};
use crate::authz::{AsDecided, Granted};
use crate::s3::call::{
    CompleteMultipartUpload, CopyObject, CreateBucket, CreateMultipartUpload, DeleteObject,
    ListBuckets, ListMultipartUploads, ListObjects, ListParts, OnBucket, OnObject, OnUpload,
    PutObject, ReadObject, UploadPart, UploadPartCopy,
};
use crate::s3::{Error, ErrorCode, TagSet};

/// Answers `ServiceUnavailable` to everything.
#[derive(Clone, Copy, Debug)]
pub struct Nowhere;

fn nowhere<T>() -> Result<T, Error> {
    Err(Error::new(ErrorCode::ServiceUnavailable).because("there is no store"))
}

#[async_trait]
#[rustfmt::skip]
impl Backend for Nowhere {
    async fn list_buckets(&self, _: Granted<&ListBuckets>) -> Result<Vec<BucketInfo>, Error> { nowhere() }
    async fn create_bucket(&self, _: Granted<&CreateBucket>) -> Result<(), Error> { nowhere() }
    async fn delete_bucket(&self, _: Granted<&OnBucket>) -> Result<(), Error> { nowhere() }
    async fn head_bucket(&self, _: Granted<&OnBucket>) -> Result<BucketInfo, Error> { nowhere() }
    async fn versioning(&self, _: Granted<&OnBucket>) -> Result<Versioning, Error> { nowhere() }
    async fn list_objects(&self, _: Granted<&ListObjects>) -> Result<ObjectPage, Error> { nowhere() }
    async fn get_object(&self, _: Granted<&ReadObject>) -> Result<Object, Error> { nowhere() }
    async fn head_object(&self, _: Granted<&ReadObject>) -> Result<Object, Error> { nowhere() }
    async fn put_object(&self, _: Granted<&PutObject>, _: &mut dyn Upload) -> Result<Written, Error> { nowhere() }
    async fn delete_object(&self, _: Granted<&DeleteObject>) -> Result<Deleted, Error> { nowhere() }
    async fn delete_objects(&self, _: &[Granted<DeleteObject>]) -> Result<Vec<Result<Deleted, Error>>, Error> { nowhere() }
    async fn copy_object(&self, _: Granted<&CopyObject>) -> Result<Written, Error> { nowhere() }
    async fn get_object_tagging(&self, _: Granted<&OnObject>) -> Result<Tagging, Error> { nowhere() }
    async fn put_object_tagging(&self, _: Granted<&OnObject>, _: &TagSet) -> Result<Option<String>, Error> { nowhere() }
    async fn put_object_tagging_of(&self, _: Granted<&OnObject>, _: AsDecided<'_>, _: &TagSet) -> Result<Option<String>, Error> { nowhere() }
    async fn delete_object_tagging(&self, _: Granted<&OnObject>) -> Result<Option<String>, Error> { nowhere() }
    async fn create_multipart_upload(&self, _: Granted<&CreateMultipartUpload>) -> Result<String, Error> { nowhere() }
    async fn upload_part(&self, _: Granted<&UploadPart>, _: &mut dyn Upload) -> Result<Written, Error> { nowhere() }
    async fn upload_part_copy(&self, _: Granted<&UploadPartCopy>) -> Result<Written, Error> { nowhere() }
    async fn complete_multipart_upload(&self, _: Granted<&CompleteMultipartUpload>, _: &[CompletedPart]) -> Result<Written, Error> { nowhere() }
    async fn abort_multipart_upload(&self, _: Granted<&OnUpload>) -> Result<(), Error> { nowhere() }
    async fn list_parts(&self, _: Granted<&ListParts>) -> Result<PartPage, Error> { nowhere() }
    async fn list_multipart_uploads(&self, _: Granted<&ListMultipartUploads>) -> Result<UploadPage, Error> { nowhere() }
    async fn health(&self) -> Result<(), Error> { nowhere() }
}
