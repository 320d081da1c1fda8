//! Every S3 API operation, in one table that routing, authorisation, metrics and documentation read.
//!
//! An operation that is not implemented is here all the same: it is recognised by name and refused
//! with `NotImplemented`, so that nothing ever falls through to a plain operation. Adding one means
//! turning its row from `no` to `yes`, then following the compiler from [`super::Call`].
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html>
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html>

use http::Method;

/// What a request's address names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetKind {
    /// The endpoint itself.
    Service,
    /// One bucket.
    Bucket,
    /// One object.
    Object,
}

/// What an operation's request body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BodyKind {
    /// Nothing is read.
    None,
    /// A small document that is read whole, up to a limit.
    Document,
    /// Object data, streamed.
    Stream,
}

/// One row of the table.
#[derive(Debug)]
pub struct Row {
    /// The operation.
    pub operation: Operation,
    /// Its name in the API reference.
    pub name: &'static str,
    /// Its HTTP method.
    pub method: Method,
    /// What its address names.
    pub target: TargetKind,
    /// Query keys that must all be there: the sub-resource.
    pub sub_resource: &'static [&'static str],
    /// A header that must be there, which tells it from a row that is otherwise the same.
    pub header: Option<&'static str>,
    /// Query keys that may be there as well.
    pub parameters: &'static [&'static str],
    /// IAM actions that it always needs; headers may ask for more (see `authz`).
    pub actions: &'static [&'static str],
    /// The resource type those actions are asked on.
    pub resource: TargetKind,
    /// What its body is.
    pub body: BodyKind,
    /// Whether it is answered, or refused by name with `NotImplemented`.
    pub implemented: bool,
}

macro_rules! operations {
    ($($name:ident $method:ident $target:ident $sub:tt $header:tt $params:tt $actions:tt $on:ident $body:ident $implemented:ident;)*) => {
        /// An S3 API operation by its name in the API reference.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the names are the API reference's own")]
        pub enum Operation { $($name,)* }

        impl Operation {
            /// The operation's row.
            #[must_use]
            pub fn row(self) -> &'static Row {
                match self {
                    $(Self::$name => {
                        static ROW: Row = Row {
                            operation: Operation::$name,
                            name: stringify!($name),
                            method: Method::$method,
                            target: TargetKind::$target,
                            sub_resource: &$sub,
                            header: operations!(@header $header),
                            parameters: &$params,
                            actions: &$actions,
                            resource: TargetKind::$on,
                            body: BodyKind::$body,
                            implemented: operations!(@flag $implemented),
                        };
                        &ROW
                    })*
                }
            }

            /// Every operation, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];
        }
    };
    (@header -) => { None };
    (@header $header:literal) => { Some($header) };
    (@flag yes) => { true };
    (@flag no) => { false };
}

impl Operation {
    /// The name in the API reference.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }
}

// name, method, target, sub-resource, header, parameters, actions, on, body, implemented
operations! {
    ListBuckets GET Service [] - ["bucket-region", "continuation-token", "max-buckets", "prefix"] ["s3:ListAllMyBuckets"] Service None yes;
    ListDirectoryBuckets GET Service ["max-directory-buckets"] - [] ["s3express:ListAllMyDirectoryBuckets"] Service None no;
    WriteGetObjectResponse POST Service [] - [] ["s3-object-lambda:WriteGetObjectResponse"] Service Stream no;
    CreateBucket PUT Bucket [] - [] ["s3:CreateBucket"] Bucket Document yes;
    DeleteBucket DELETE Bucket [] - [] ["s3:DeleteBucket"] Bucket None yes;
    HeadBucket HEAD Bucket [] - [] ["s3:ListBucket"] Bucket None yes;
    ListObjects GET Bucket [] - ["delimiter", "encoding-type", "marker", "max-keys", "prefix"] ["s3:ListBucket"] Bucket None yes;
    ListObjectsV2 GET Bucket ["list-type"] - ["continuation-token", "delimiter", "encoding-type", "fetch-owner", "max-keys", "prefix", "start-after"] ["s3:ListBucket"] Bucket None yes;
    ListObjectVersions GET Bucket ["versions"] - ["delimiter", "encoding-type", "key-marker", "max-keys", "prefix", "version-id-marker"] ["s3:ListBucketVersions"] Bucket None yes;
    ListMultipartUploads GET Bucket ["uploads"] - ["delimiter", "encoding-type", "key-marker", "max-uploads", "prefix", "upload-id-marker"] ["s3:ListBucketMultipartUploads"] Bucket None yes;
    GetBucketLocation GET Bucket ["location"] - [] ["s3:GetBucketLocation"] Bucket None yes;
    DeleteObjects POST Bucket ["delete"] - [] ["s3:DeleteObject"] Bucket Document yes;
    PostObject POST Bucket [] - [] ["s3:PutObject"] Object Stream no;
    CreateSession GET Bucket ["session"] - [] ["s3express:CreateSession"] Bucket None no;
    GetBucketPolicy GET Bucket ["policy"] - [] ["s3:GetBucketPolicy"] Bucket None yes;
    PutBucketPolicy PUT Bucket ["policy"] - [] ["s3:PutBucketPolicy"] Bucket Document yes;
    DeleteBucketPolicy DELETE Bucket ["policy"] - [] ["s3:DeleteBucketPolicy"] Bucket None yes;
    GetBucketPolicyStatus GET Bucket ["policyStatus"] - [] ["s3:GetBucketPolicyStatus"] Bucket None yes;
    GetBucketAbac GET Bucket ["abac"] - [] ["s3:GetBucketAbac"] Bucket None no;
    PutBucketAbac PUT Bucket ["abac"] - [] ["s3:PutBucketAbac"] Bucket Document no;
    GetBucketAccelerateConfiguration GET Bucket ["accelerate"] - [] ["s3:GetAccelerateConfiguration"] Bucket None yes;
    PutBucketAccelerateConfiguration PUT Bucket ["accelerate"] - [] ["s3:PutAccelerateConfiguration"] Bucket Document no;
    GetBucketAcl GET Bucket ["acl"] - [] ["s3:GetBucketAcl"] Bucket None yes;
    PutBucketAcl PUT Bucket ["acl"] - [] ["s3:PutBucketAcl"] Bucket Document no;
    GetBucketAnalyticsConfiguration GET Bucket ["analytics", "id"] - [] ["s3:GetAnalyticsConfiguration"] Bucket None yes;
    ListBucketAnalyticsConfigurations GET Bucket ["analytics"] - ["continuation-token"] ["s3:GetAnalyticsConfiguration"] Bucket None yes;
    PutBucketAnalyticsConfiguration PUT Bucket ["analytics", "id"] - [] ["s3:PutAnalyticsConfiguration"] Bucket Document no;
    DeleteBucketAnalyticsConfiguration DELETE Bucket ["analytics", "id"] - [] ["s3:PutAnalyticsConfiguration"] Bucket None no;
    GetBucketIntelligentTieringConfiguration GET Bucket ["intelligent-tiering", "id"] - [] ["s3:GetIntelligentTieringConfiguration"] Bucket None yes;
    ListBucketIntelligentTieringConfigurations GET Bucket ["intelligent-tiering"] - ["continuation-token"] ["s3:GetIntelligentTieringConfiguration"] Bucket None yes;
    PutBucketIntelligentTieringConfiguration PUT Bucket ["intelligent-tiering", "id"] - [] ["s3:PutIntelligentTieringConfiguration"] Bucket Document no;
    DeleteBucketIntelligentTieringConfiguration DELETE Bucket ["intelligent-tiering", "id"] - [] ["s3:PutIntelligentTieringConfiguration"] Bucket None no;
    GetBucketInventoryConfiguration GET Bucket ["inventory", "id"] - [] ["s3:GetInventoryConfiguration"] Bucket None yes;
    ListBucketInventoryConfigurations GET Bucket ["inventory"] - ["continuation-token"] ["s3:GetInventoryConfiguration"] Bucket None yes;
    PutBucketInventoryConfiguration PUT Bucket ["inventory", "id"] - [] ["s3:PutInventoryConfiguration"] Bucket Document no;
    DeleteBucketInventoryConfiguration DELETE Bucket ["inventory", "id"] - [] ["s3:PutInventoryConfiguration"] Bucket None no;
    GetBucketMetricsConfiguration GET Bucket ["metrics", "id"] - [] ["s3:GetMetricsConfiguration"] Bucket None yes;
    ListBucketMetricsConfigurations GET Bucket ["metrics"] - ["continuation-token"] ["s3:GetMetricsConfiguration"] Bucket None yes;
    PutBucketMetricsConfiguration PUT Bucket ["metrics", "id"] - [] ["s3:PutMetricsConfiguration"] Bucket Document no;
    DeleteBucketMetricsConfiguration DELETE Bucket ["metrics", "id"] - [] ["s3:PutMetricsConfiguration"] Bucket None no;
    GetBucketCors GET Bucket ["cors"] - [] ["s3:GetBucketCORS"] Bucket None yes;
    PutBucketCors PUT Bucket ["cors"] - [] ["s3:PutBucketCORS"] Bucket Document no;
    DeleteBucketCors DELETE Bucket ["cors"] - [] ["s3:PutBucketCORS"] Bucket None no;
    GetBucketEncryption GET Bucket ["encryption"] - [] ["s3:GetEncryptionConfiguration"] Bucket None yes;
    PutBucketEncryption PUT Bucket ["encryption"] - [] ["s3:PutEncryptionConfiguration"] Bucket Document no;
    DeleteBucketEncryption DELETE Bucket ["encryption"] - [] ["s3:PutEncryptionConfiguration"] Bucket None no;
    GetBucketLifecycleConfiguration GET Bucket ["lifecycle"] - [] ["s3:GetLifecycleConfiguration"] Bucket None yes;
    PutBucketLifecycleConfiguration PUT Bucket ["lifecycle"] - [] ["s3:PutLifecycleConfiguration"] Bucket Document no;
    DeleteBucketLifecycle DELETE Bucket ["lifecycle"] - [] ["s3:PutLifecycleConfiguration"] Bucket None no;
    GetBucketLogging GET Bucket ["logging"] - [] ["s3:GetBucketLogging"] Bucket None yes;
    PutBucketLogging PUT Bucket ["logging"] - [] ["s3:PutBucketLogging"] Bucket Document no;
    GetBucketMetadataConfiguration GET Bucket ["metadataConfiguration"] - [] ["s3:GetBucketMetadataTableConfiguration"] Bucket None no;
    CreateBucketMetadataConfiguration POST Bucket ["metadataConfiguration"] - [] ["s3:CreateBucketMetadataTableConfiguration"] Bucket Document no;
    DeleteBucketMetadataConfiguration DELETE Bucket ["metadataConfiguration"] - [] ["s3:DeleteBucketMetadataTableConfiguration"] Bucket None no;
    GetBucketMetadataTableConfiguration GET Bucket ["metadataTable"] - [] ["s3:GetBucketMetadataTableConfiguration"] Bucket None no;
    CreateBucketMetadataTableConfiguration POST Bucket ["metadataTable"] - [] ["s3:CreateBucketMetadataTableConfiguration"] Bucket Document no;
    DeleteBucketMetadataTableConfiguration DELETE Bucket ["metadataTable"] - [] ["s3:DeleteBucketMetadataTableConfiguration"] Bucket None no;
    UpdateBucketMetadataInventoryTableConfiguration PUT Bucket ["metadataInventoryTable"] - [] ["s3:UpdateBucketMetadataInventoryTableConfiguration"] Bucket Document no;
    UpdateBucketMetadataJournalTableConfiguration PUT Bucket ["metadataJournalTable"] - [] ["s3:UpdateBucketMetadataJournalTableConfiguration"] Bucket Document no;
    GetBucketNotificationConfiguration GET Bucket ["notification"] - [] ["s3:GetBucketNotification"] Bucket None yes;
    PutBucketNotificationConfiguration PUT Bucket ["notification"] - [] ["s3:PutBucketNotification"] Bucket Document no;
    GetObjectLockConfiguration GET Bucket ["object-lock"] - [] ["s3:GetBucketObjectLockConfiguration"] Bucket None yes;
    PutObjectLockConfiguration PUT Bucket ["object-lock"] - [] ["s3:PutBucketObjectLockConfiguration"] Bucket Document no;
    GetBucketOwnershipControls GET Bucket ["ownershipControls"] - [] ["s3:GetBucketOwnershipControls"] Bucket None yes;
    PutBucketOwnershipControls PUT Bucket ["ownershipControls"] - [] ["s3:PutBucketOwnershipControls"] Bucket Document no;
    DeleteBucketOwnershipControls DELETE Bucket ["ownershipControls"] - [] ["s3:PutBucketOwnershipControls"] Bucket None no;
    GetPublicAccessBlock GET Bucket ["publicAccessBlock"] - [] ["s3:GetBucketPublicAccessBlock"] Bucket None yes;
    PutPublicAccessBlock PUT Bucket ["publicAccessBlock"] - [] ["s3:PutBucketPublicAccessBlock"] Bucket Document yes;
    DeletePublicAccessBlock DELETE Bucket ["publicAccessBlock"] - [] ["s3:PutBucketPublicAccessBlock"] Bucket None yes;
    GetBucketReplication GET Bucket ["replication"] - [] ["s3:GetReplicationConfiguration"] Bucket None yes;
    PutBucketReplication PUT Bucket ["replication"] - [] ["s3:PutReplicationConfiguration"] Bucket Document no;
    DeleteBucketReplication DELETE Bucket ["replication"] - [] ["s3:PutReplicationConfiguration"] Bucket None no;
    GetBucketRequestPayment GET Bucket ["requestPayment"] - [] ["s3:GetBucketRequestPayment"] Bucket None yes;
    PutBucketRequestPayment PUT Bucket ["requestPayment"] - [] ["s3:PutBucketRequestPayment"] Bucket Document no;
    GetBucketTagging GET Bucket ["tagging"] - [] ["s3:GetBucketTagging"] Bucket None yes;
    PutBucketTagging PUT Bucket ["tagging"] - [] ["s3:PutBucketTagging"] Bucket Document no;
    DeleteBucketTagging DELETE Bucket ["tagging"] - [] ["s3:PutBucketTagging"] Bucket None no;
    GetBucketVersioning GET Bucket ["versioning"] - [] ["s3:GetBucketVersioning"] Bucket None yes;
    PutBucketVersioning PUT Bucket ["versioning"] - [] ["s3:PutBucketVersioning"] Bucket Document no;
    GetBucketWebsite GET Bucket ["website"] - [] ["s3:GetBucketWebsite"] Bucket None yes;
    PutBucketWebsite PUT Bucket ["website"] - [] ["s3:PutBucketWebsite"] Bucket Document no;
    DeleteBucketWebsite DELETE Bucket ["website"] - [] ["s3:DeleteBucketWebsite"] Bucket None no;
    GetObject GET Object [] - ["partNumber", "versionId", "response-cache-control", "response-content-disposition", "response-content-encoding", "response-content-language", "response-content-type", "response-expires"] ["s3:GetObject"] Object None yes;
    HeadObject HEAD Object [] - ["partNumber", "versionId", "response-cache-control", "response-content-disposition", "response-content-encoding", "response-content-language", "response-content-type", "response-expires"] ["s3:GetObject"] Object None yes;
    PutObject PUT Object [] - [] ["s3:PutObject"] Object Stream yes;
    CopyObject PUT Object [] "x-amz-copy-source" [] ["s3:PutObject"] Object None yes;
    DeleteObject DELETE Object [] - ["versionId"] ["s3:DeleteObject"] Object None yes;
    CreateMultipartUpload POST Object ["uploads"] - [] ["s3:PutObject"] Object None yes;
    UploadPart PUT Object ["partNumber", "uploadId"] - [] ["s3:PutObject"] Object Stream yes;
    UploadPartCopy PUT Object ["partNumber", "uploadId"] "x-amz-copy-source" [] ["s3:PutObject"] Object None yes;
    CompleteMultipartUpload POST Object ["uploadId"] - [] ["s3:PutObject"] Object Document yes;
    AbortMultipartUpload DELETE Object ["uploadId"] - [] ["s3:AbortMultipartUpload"] Object None yes;
    ListParts GET Object ["uploadId"] - ["encoding-type", "max-parts", "part-number-marker"] ["s3:ListMultipartUploadParts"] Object None yes;
    GetObjectAcl GET Object ["acl"] - ["versionId"] ["s3:GetObjectAcl"] Object None yes;
    PutObjectAcl PUT Object ["acl"] - ["versionId"] ["s3:PutObjectAcl"] Object Document no;
    GetObjectAttributes GET Object ["attributes"] - ["versionId"] ["s3:GetObject", "s3:GetObjectAttributes"] Object None no;
    GetObjectLegalHold GET Object ["legal-hold"] - ["versionId"] ["s3:GetObjectLegalHold"] Object None no;
    PutObjectLegalHold PUT Object ["legal-hold"] - ["versionId"] ["s3:PutObjectLegalHold"] Object Document no;
    GetObjectRetention GET Object ["retention"] - ["versionId"] ["s3:GetObjectRetention"] Object None no;
    PutObjectRetention PUT Object ["retention"] - ["versionId"] ["s3:PutObjectRetention"] Object Document no;
    GetObjectTagging GET Object ["tagging"] - ["versionId"] ["s3:GetObjectTagging"] Object None yes;
    PutObjectTagging PUT Object ["tagging"] - ["versionId"] ["s3:PutObjectTagging"] Object Document yes;
    DeleteObjectTagging DELETE Object ["tagging"] - ["versionId"] ["s3:DeleteObjectTagging"] Object None yes;
    GetObjectTorrent GET Object ["torrent"] - [] ["s3:GetObjectTorrent"] Object None no;
    RenameObject PUT Object ["renameObject"] - [] ["s3express:CreateSession"] Object None no;
    RestoreObject POST Object ["restore"] - ["versionId"] ["s3:RestoreObject"] Object Document no;
    SelectObjectContent POST Object ["select", "select-type"] - [] ["s3:GetObject"] Object Document no;
    UpdateObjectEncryption PUT Object ["encryption"] - ["versionId"] ["s3:UpdateObjectEncryption"] Object Document no;
}
