//! What a bucket or an object is configured to, where the truthful answer is that nothing is, or is the
//! same for each: who may do what here is for policies to say.

use super::bucket::owner;
use super::{Answer, Context, canonical_id};
use crate::authz::Granted;
use crate::backend::Versioning;
use crate::s3::call::{GetConfiguration, OnBucket, OnObject};
use crate::s3::xml::Writer;
use crate::s3::{Error, ErrorCode, Operation};
use http::header::HeaderName;

pub(super) async fn get(
    context: &Context<'_>,
    call: Granted<&GetConfiguration>,
) -> Result<Answer, Error> {
    let backend = context.backends.of(&call.bucket)?;
    backend.head_bucket(call.head().as_ref()).await?;
    let document = configuration(context, call.operation)
        .map_err(|error| error.detail("BucketName", call.bucket.as_str()))?;
    Ok(Answer::xml(document))
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the parser says which operations these are"
)]
fn configuration(context: &Context<'_>, operation: Operation) -> Result<String, Error> {
    use Operation as O;
    let empty = |root: &str| Ok(Writer::new(root).finish(root));
    let none = |code: ErrorCode| Err(Error::new(code));
    match operation {
        O::GetBucketAccelerateConfiguration => empty("AccelerateConfiguration"),
        O::GetBucketLogging => empty("BucketLoggingStatus"),
        O::GetBucketNotificationConfiguration => empty("NotificationConfiguration"),
        O::GetBucketAcl => Ok(acl(context)),
        O::GetBucketOwnershipControls => {
            let mut xml = Writer::new("OwnershipControls");
            xml.open("Rule");
            xml.text("ObjectOwnership", "BucketOwnerEnforced");
            xml.close("Rule");
            Ok(xml.finish("OwnershipControls"))
        }
        O::GetBucketRequestPayment => {
            let mut xml = Writer::new("RequestPaymentConfiguration");
            xml.text("Payer", "BucketOwner");
            Ok(xml.finish("RequestPaymentConfiguration"))
        }
        O::ListBucketAnalyticsConfigurations => {
            Ok(no_list("ListBucketAnalyticsConfigurationResult"))
        }
        O::ListBucketIntelligentTieringConfigurations => {
            Ok(no_list("ListBucketIntelligentTieringConfigurationsOutput"))
        }
        O::ListBucketInventoryConfigurations => Ok(no_list("ListInventoryConfigurationsResult")),
        O::ListBucketMetricsConfigurations => Ok(no_list("ListMetricsConfigurationsResult")),
        O::GetBucketAnalyticsConfiguration
        | O::GetBucketIntelligentTieringConfiguration
        | O::GetBucketInventoryConfiguration
        | O::GetBucketMetricsConfiguration => none(ErrorCode::NoSuchConfiguration),
        O::GetBucketCors => none(ErrorCode::NoSuchCorsConfiguration),
        O::GetBucketEncryption => none(ErrorCode::ServerSideEncryptionConfigurationNotFound),
        O::GetBucketLifecycleConfiguration => none(ErrorCode::NoSuchLifecycleConfiguration),
        O::GetBucketReplication => none(ErrorCode::ReplicationConfigurationNotFound),
        O::GetBucketTagging => none(ErrorCode::NoSuchTagSet),
        O::GetBucketWebsite => none(ErrorCode::NoSuchWebsiteConfiguration),
        O::GetObjectLockConfiguration => none(ErrorCode::ObjectLockConfigurationNotFound),
        other => Err(Error::internal(format_args!(
            "{} has no configuration",
            other.name()
        ))),
    }
}

fn no_list(root: &str) -> String {
    let mut xml = Writer::new(root);
    xml.flag("IsTruncated", false);
    xml.finish(root)
}

/// Everything is the account's, and no ACL grants anything to anybody else.
fn acl(context: &Context<'_>) -> String {
    let mut xml = Writer::new("AccessControlPolicy");
    owner(&mut xml, "Owner", context);
    xml.open("AccessControlList");
    xml.open("Grant");
    xml.canonical_user("Grantee", &canonical_id(context.account), context.account);
    xml.text("Permission", "FULL_CONTROL");
    xml.close("Grant");
    xml.close("AccessControlList");
    xml.finish("AccessControlPolicy")
}

pub(super) async fn object_acl(
    context: &Context<'_>,
    call: Granted<&OnObject>,
) -> Result<Answer, Error> {
    let backend = context.backends.of(&call.bucket)?;
    let found = backend.head_object(call.head().as_ref()).await?;
    let mut answer = Answer::xml(acl(context));
    if let Some(version) = &found.info.version_id {
        answer.set(HeaderName::from_static("x-amz-version-id"), version);
    }
    Ok(answer)
}

/// What the store says: it alone knows whether it keeps versions.
pub(super) async fn versioning(
    context: &Context<'_>,
    call: Granted<&OnBucket>,
) -> Result<Answer, Error> {
    let backend = context.backends.of(&call.bucket)?;
    let status = match backend.versioning(call).await? {
        Versioning::Never => None,
        Versioning::Enabled => Some("Enabled"),
        Versioning::Suspended => Some("Suspended"),
    };
    let mut xml = Writer::new("VersioningConfiguration");
    xml.maybe("Status", status);
    Ok(Answer::xml(xml.finish("VersioningConfiguration")))
}
