//! What else stands beside S3 in a policy: its smaller relatives, the `admin:` actions of MinIO's, and the
//! keys that its ecosystem adds.
//!
//! - <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3express.html>
//! - <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3objectlambda.html>
//! - <https://github.com/minio/pkg/tree/main/policy>

use super::{Action, On, Type};

/// Actions of S3 directory buckets, as far as they matter here.
#[rustfmt::skip]
pub(super) const S3_EXPRESS: &[Action] = &[
    Action {
        name: "s3express:CreateSession",
        on: &[On::Bucket, On::AccessPoint],
        keys: &[
            "aws:ResourceTag/", "s3express:AccessPointTag/",
            "s3express:AllAccessRestrictedToLocalZoneGroup", "s3express:authType",
            "s3express:BucketTag/", "s3express:Permissions", "s3express:ResourceAccount",
            "s3express:SessionMode", "s3express:signatureAge", "s3express:signatureversion",
            "s3express:TlsVersion", "s3express:x-amz-content-sha256",
            "s3express:x-amz-server-side-encryption",
            "s3express:x-amz-server-side-encryption-aws-kms-key-id",
        ],
    },
    Action {
        name: "s3express:ListAllMyDirectoryBuckets",
        on: &[On::Service],
        keys: &[
            "s3express:authType", "s3express:ResourceAccount", "s3express:signatureversion",
            "s3express:TlsVersion", "s3express:x-amz-content-sha256",
        ],
    },
];

/// Condition keys of the actions of S3 directory buckets.
#[rustfmt::skip]
pub(super) const S3_EXPRESS_KEYS: &[(&str, Type)] = &[
    ("s3express:AccessPointTag/", Type::String),
    ("s3express:AllAccessRestrictedToLocalZoneGroup", Type::String),
    ("s3express:authType", Type::String),
    ("s3express:BucketTag/", Type::String),
    ("s3express:Permissions", Type::ArrayOfString),
    ("s3express:ResourceAccount", Type::String),
    ("s3express:SessionMode", Type::String),
    ("s3express:signatureAge", Type::Numeric),
    ("s3express:signatureversion", Type::String),
    ("s3express:TlsVersion", Type::Numeric),
    ("s3express:x-amz-content-sha256", Type::String),
    ("s3express:x-amz-server-side-encryption", Type::String),
    ("s3express:x-amz-server-side-encryption-aws-kms-key-id", Type::Arn),
];

/// Actions of S3 Object Lambda, as far as they matter here.
#[rustfmt::skip]
pub(super) const OBJECT_LAMBDA: &[Action] = &[
    Action { name: "s3-object-lambda:WriteGetObjectResponse", on: &[On::Other], keys: &["s3-object-lambda:authType", "s3-object-lambda:signatureAge", "s3-object-lambda:TlsVersion"] },
];

/// Condition keys of the actions of S3 Object Lambda.
#[rustfmt::skip]
pub(super) const OBJECT_LAMBDA_KEYS: &[(&str, Type)] = &[
    ("s3-object-lambda:authType", Type::String),
    ("s3-object-lambda:signatureAge", Type::Numeric),
    ("s3-object-lambda:TlsVersion", Type::Numeric),
];

/// Attributes of a SAML assertion, as the trust policy of a role sees them.
#[rustfmt::skip]
pub(super) const SAML_KEYS: &[(&str, Type)] = &[
    ("saml:aud", Type::String),
    ("saml:cn", Type::ArrayOfString),
    ("saml:commonName", Type::String),
    ("saml:doc", Type::String),
    ("saml:eduorghomepageuri", Type::ArrayOfString),
    ("saml:eduorgidentityauthnpolicyuri", Type::ArrayOfString),
    ("saml:eduorglegalname", Type::ArrayOfString),
    ("saml:eduorgsuperioruri", Type::ArrayOfString),
    ("saml:eduorgwhitepagesuri", Type::ArrayOfString),
    ("saml:edupersonaffiliation", Type::ArrayOfString),
    ("saml:edupersonassurance", Type::ArrayOfString),
    ("saml:edupersonentitlement", Type::ArrayOfString),
    ("saml:edupersonnickname", Type::ArrayOfString),
    ("saml:edupersonorgdn", Type::String),
    ("saml:edupersonorgunitdn", Type::ArrayOfString),
    ("saml:edupersonprimaryaffiliation", Type::String),
    ("saml:edupersonprimaryorgunitdn", Type::String),
    ("saml:edupersonprincipalname", Type::String),
    ("saml:edupersonscopedaffiliation", Type::ArrayOfString),
    ("saml:edupersontargetedid", Type::ArrayOfString),
    ("saml:givenName", Type::String),
    ("saml:iss", Type::String),
    ("saml:mail", Type::String),
    ("saml:name", Type::String),
    ("saml:namequalifier", Type::String),
    ("saml:organizationStatus", Type::String),
    ("saml:primaryGroupSID", Type::String),
    ("saml:sub", Type::String),
    ("saml:sub_type", Type::String),
    ("saml:surname", Type::String),
    ("saml:uid", Type::String),
    ("saml:x500UniqueIdentifier", Type::String),
];

/// Actions of MinIO's admin API. They are asked on no resource.
#[rustfmt::skip]
pub(super) const ADMIN: &[Action] = &[
    Action { name: "admin:AddUserToGroup", on: &[On::Service], keys: &[] },
    Action { name: "admin:AttachUserOrGroupPolicy", on: &[On::Service], keys: &[] },
    Action { name: "admin:BandwidthMonitor", on: &[On::Service], keys: &[] },
    Action { name: "admin:CancelBatchJob", on: &[On::Service], keys: &[] },
    Action { name: "admin:ChangeMyPassword", on: &[On::Service], keys: &[] },
    Action { name: "admin:ClusterInfo", on: &[On::Service], keys: &[] },
    Action { name: "admin:ConfigUpdate", on: &[On::Service], keys: &[] },
    Action { name: "admin:ConsoleLog", on: &[On::Service], keys: &[] },
    Action { name: "admin:CreatePolicy", on: &[On::Service], keys: &[] },
    Action { name: "admin:CreateServiceAccount", on: &[On::Service], keys: &["svc:DurationSeconds"] },
    Action { name: "admin:CreateUser", on: &[On::Service], keys: &[] },
    Action { name: "admin:DataUsageInfo", on: &[On::Service], keys: &[] },
    Action { name: "admin:Decommission", on: &[On::Service], keys: &[] },
    Action { name: "admin:DeletePolicy", on: &[On::Service], keys: &[] },
    Action { name: "admin:DeleteUser", on: &[On::Service], keys: &[] },
    Action { name: "admin:DeltaSharing", on: &[On::Service], keys: &[] },
    Action { name: "admin:DeltaSharingCreateShare", on: &[On::Service], keys: &[] },
    Action { name: "admin:DeltaSharingCreateToken", on: &[On::Service], keys: &[] },
    Action { name: "admin:DeltaSharingDeleteShare", on: &[On::Service], keys: &[] },
    Action { name: "admin:DeltaSharingDeleteToken", on: &[On::Service], keys: &[] },
    Action { name: "admin:DeltaSharingGetShare", on: &[On::Service], keys: &[] },
    Action { name: "admin:DeltaSharingListShares", on: &[On::Service], keys: &[] },
    Action { name: "admin:DeltaSharingListTokens", on: &[On::Service], keys: &[] },
    Action { name: "admin:DeltaSharingUpdateShare", on: &[On::Service], keys: &[] },
    Action { name: "admin:DescribeBatchJob", on: &[On::Service], keys: &[] },
    Action { name: "admin:DisableGroup", on: &[On::Service], keys: &[] },
    Action { name: "admin:DisableUser", on: &[On::Service], keys: &[] },
    Action { name: "admin:DistJobStatus", on: &[On::Service], keys: &[] },
    Action { name: "admin:DriveInfo", on: &[On::Service], keys: &[] },
    Action { name: "admin:DriveList", on: &[On::Service], keys: &[] },
    Action { name: "admin:EnableGroup", on: &[On::Service], keys: &[] },
    Action { name: "admin:EnableUser", on: &[On::Service], keys: &[] },
    Action { name: "admin:ExportBucketMetadata", on: &[On::Service], keys: &[] },
    Action { name: "admin:ExportIAM", on: &[On::Service], keys: &[] },
    Action { name: "admin:ForceUnlock", on: &[On::Service], keys: &[] },
    Action { name: "admin:GenerateBatchJob", on: &[On::Service], keys: &[] },
    Action { name: "admin:GetBucketCompression", on: &[On::Service], keys: &[] },
    Action { name: "admin:GetBucketQuota", on: &[On::Service], keys: &[] },
    Action { name: "admin:GetBucketTarget", on: &[On::Service], keys: &[] },
    Action { name: "admin:GetGroup", on: &[On::Service], keys: &[] },
    Action { name: "admin:GetPolicy", on: &[On::Service], keys: &[] },
    Action { name: "admin:GetUser", on: &[On::Service], keys: &[] },
    Action { name: "admin:Heal", on: &[On::Service], keys: &[] },
    Action { name: "admin:ImportBucketMetadata", on: &[On::Service], keys: &[] },
    Action { name: "admin:ImportIAM", on: &[On::Service], keys: &[] },
    Action { name: "admin:InspectData", on: &[On::Service], keys: &[] },
    Action { name: "admin:InventoryControl", on: &[On::Service], keys: &[] },
    Action { name: "admin:KMSBackup", on: &[On::Service], keys: &[] },
    Action { name: "admin:KMSCreateKey", on: &[On::Service], keys: &[] },
    Action { name: "admin:KMSEnable", on: &[On::Service], keys: &[] },
    Action { name: "admin:KMSKeyRotate", on: &[On::Service], keys: &[] },
    Action { name: "admin:KMSKeyStatus", on: &[On::Service], keys: &[] },
    Action { name: "admin:KMSRestore", on: &[On::Service], keys: &[] },
    Action { name: "admin:LicenseInfo", on: &[On::Service], keys: &[] },
    Action { name: "admin:ListBatchJobs", on: &[On::Service], keys: &[] },
    Action { name: "admin:ListGroups", on: &[On::Service], keys: &[] },
    Action { name: "admin:ListServiceAccounts", on: &[On::Service], keys: &[] },
    Action { name: "admin:ListTemporaryAccounts", on: &[On::Service], keys: &[] },
    Action { name: "admin:ListTier", on: &[On::Service], keys: &[] },
    Action { name: "admin:ListUserPolicies", on: &[On::Service], keys: &[] },
    Action { name: "admin:ListUsers", on: &[On::Service], keys: &[] },
    Action { name: "admin:NodeInfo", on: &[On::Service], keys: &[] },
    Action { name: "admin:NodeList", on: &[On::Service], keys: &[] },
    Action { name: "admin:OBDInfo", on: &[On::Service], keys: &[] },
    Action { name: "admin:PoolInfo", on: &[On::Service], keys: &[] },
    Action { name: "admin:PoolList", on: &[On::Service], keys: &[] },
    Action { name: "admin:Profiling", on: &[On::Service], keys: &[] },
    Action { name: "admin:Prometheus", on: &[On::Service], keys: &[] },
    Action { name: "admin:ReadAlerts", on: &[On::Service], keys: &[] },
    Action { name: "admin:ReadAPILogs", on: &[On::Service], keys: &[] },
    Action { name: "admin:ReadAuditLogs", on: &[On::Service], keys: &[] },
    Action { name: "admin:ReadErrorLogs", on: &[On::Service], keys: &[] },
    Action { name: "admin:Rebalance", on: &[On::Service], keys: &[] },
    Action { name: "admin:RemoveServiceAccount", on: &[On::Service], keys: &[] },
    Action { name: "admin:RemoveUserFromGroup", on: &[On::Service], keys: &[] },
    Action { name: "admin:ReplicationDiff", on: &[On::Service], keys: &[] },
    Action { name: "admin:ServerInfo", on: &[On::Service], keys: &[] },
    Action { name: "admin:ServerTrace", on: &[On::Service], keys: &[] },
    Action { name: "admin:ServerUpdate", on: &[On::Service], keys: &[] },
    Action { name: "admin:ServiceCordon", on: &[On::Service], keys: &[] },
    Action { name: "admin:ServiceFreeze", on: &[On::Service], keys: &[] },
    Action { name: "admin:ServiceRestart", on: &[On::Service], keys: &[] },
    Action { name: "admin:ServiceStop", on: &[On::Service], keys: &[] },
    Action { name: "admin:SetBucketCompression", on: &[On::Service], keys: &[] },
    Action { name: "admin:SetBucketQuota", on: &[On::Service], keys: &[] },
    Action { name: "admin:SetBucketTarget", on: &[On::Service], keys: &[] },
    Action { name: "admin:SetInfo", on: &[On::Service], keys: &[] },
    Action { name: "admin:SetTier", on: &[On::Service], keys: &[] },
    Action { name: "admin:SiteReplicationAdd", on: &[On::Service], keys: &[] },
    Action { name: "admin:SiteReplicationDisable", on: &[On::Service], keys: &[] },
    Action { name: "admin:SiteReplicationInfo", on: &[On::Service], keys: &[] },
    Action { name: "admin:SiteReplicationOperation", on: &[On::Service], keys: &[] },
    Action { name: "admin:SiteReplicationRemove", on: &[On::Service], keys: &[] },
    Action { name: "admin:SiteReplicationResync", on: &[On::Service], keys: &[] },
    Action { name: "admin:StartBatchJob", on: &[On::Service], keys: &[] },
    Action { name: "admin:StorageInfo", on: &[On::Service], keys: &[] },
    Action { name: "admin:TablesReplicationAdd", on: &[On::Service], keys: &[] },
    Action { name: "admin:TablesReplicationCatalogAdmin", on: &[On::Service], keys: &[] },
    Action { name: "admin:TablesReplicationInfo", on: &[On::Service], keys: &[] },
    Action { name: "admin:TablesReplicationRemove", on: &[On::Service], keys: &[] },
    Action { name: "admin:TablesReplicationStartFailover", on: &[On::Service], keys: &[] },
    Action { name: "admin:TopLocksInfo", on: &[On::Service], keys: &[] },
    Action { name: "admin:UpdatePolicyAssociation", on: &[On::Service], keys: &[] },
    Action { name: "admin:UpdateServiceAccount", on: &[On::Service], keys: &["svc:DurationSeconds"] },
];

/// A key that MinIO writes among the global ones: the groups that the caller is in.
#[rustfmt::skip]
pub(super) const AWS_KEYS: &[(&str, Type)] = &[
    ("aws:groups", Type::ArrayOfString),
];

/// Claims of the token that an OpenID Connect session was made from. `jwt:` stands for any claim; those
/// that may have many values are named.
#[rustfmt::skip]
pub(super) const JWT_KEYS: &[(&str, Type)] = &[
    ("jwt:", Type::String),
    ("jwt:aud", Type::ArrayOfString),
    ("jwt:groups", Type::ArrayOfString),
];

/// What the directory says of a session that was made from LDAP.
#[rustfmt::skip]
pub(super) const LDAP_KEYS: &[(&str, Type)] = &[
    ("ldap:groups", Type::ArrayOfString),
    ("ldap:user", Type::String),
    ("ldap:username", Type::String),
];

/// What is asked of a service account that is made or changed.
#[rustfmt::skip]
pub(super) const SVC_KEYS: &[(&str, Type)] = &[
    ("svc:DurationSeconds", Type::Numeric),
];
