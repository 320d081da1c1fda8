//! A signed request in its parts, so that one of them can be another.

use portcullis::s3::Head;
use portcullis::sigv4::{encode, encode_path};

/// A request and its signature, decoded, in header and query alike.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    /// The region of the gateway that is asked.
    pub(crate) gateway: String,
    pub(crate) method: String,
    pub(crate) path: String,
    /// Without the signature's own.
    pub(crate) query: Vec<(String, String)>,
    /// Without the signature's own; a repeated header is there as often as it is repeated.
    pub(crate) headers: Vec<(String, String)>,

    pub(crate) presigned: bool,
    pub(crate) algorithm: String,
    pub(crate) id: String,
    /// Date, region, service and terminator.
    pub(crate) scope: [String; 4],
    /// `x-amz-date`; `None` where a `Date` header stands for it.
    pub(crate) time: Option<String>,
    pub(crate) expires: String,
    pub(crate) signed: Vec<String>,
    pub(crate) signature: String,
}

impl Parts {
    pub(crate) fn of(head: &Head, gateway: &str) -> Option<Self> {
        let header = |name: &str| head.headers().get(name).and_then(|v| v.to_str().ok());
        let query = |name: &str| head.query.get(name);
        let presigned = head.is_presigned();
        let (algorithm, credential, signed, signature) = if presigned {
            (
                query("X-Amz-Algorithm")?,
                query("X-Amz-Credential")?,
                query("X-Amz-SignedHeaders")?,
                query("X-Amz-Signature")?,
            )
        } else {
            let (algorithm, rest) = header("authorization")?.split_once(" Credential=")?;
            let (credential, rest) = rest.split_once(", SignedHeaders=")?;
            let (signed, signature) = rest.split_once(", Signature=")?;
            (algorithm, credential, signed, signature)
        };
        let mut credential = credential.rsplitn(5, '/').map(str::to_owned);
        let (end, service) = (credential.next()?, credential.next()?);
        let (region, date) = (credential.next()?, credential.next()?);
        let time = match presigned {
            true => query("X-Amz-Date"),
            false => header("x-amz-date"),
        };
        let pairs = head.query.pairs();
        let pairs = pairs.filter(|(name, _)| !Head::is_signature_parameter(name));
        let arrived = head
            .headers()
            .iter()
            .filter(|(name, _)| *name != "authorization" && (presigned || *name != "x-amz-date"));
        let text = |value: &http::HeaderValue| String::from_utf8(value.as_bytes().to_vec()).ok();
        let arrived = arrived.map(|(name, value)| Some((name.to_string(), text(value)?)));
        Some(Self {
            gateway: gateway.to_owned(),
            method: head.method.to_string(),
            path: head.path.clone(),
            query: pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
            headers: arrived.collect::<Option<_>>()?,
            presigned,
            algorithm: algorithm.to_owned(),
            id: credential.next()?,
            scope: [date, region, service, end],
            time: time.map(str::to_owned),
            expires: query("X-Amz-Expires").unwrap_or_default().to_owned(),
            signed: signed.split(';').map(str::to_owned).collect(),
            signature: signature.to_owned(),
        })
    }

    /// The head of these parts, in our own spelling.
    pub(crate) fn head(&self) -> Result<Head, String> {
        let credential = format!("{}/{}", self.id, self.scope.join("/"));
        let signed = self.signed.join(";");
        let (mut query, mut headers) = (self.query.clone(), self.headers.clone());
        if self.presigned {
            let own = [
                ("X-Amz-Algorithm", self.algorithm.as_str()),
                ("X-Amz-Credential", &credential),
                ("X-Amz-Date", self.time.as_deref().unwrap_or_default()),
                ("X-Amz-Expires", &self.expires),
                ("X-Amz-SignedHeaders", &signed),
                ("X-Amz-Signature", &self.signature),
            ];
            query.extend(own.map(|(n, v)| (n.to_owned(), v.to_owned())));
        } else {
            let time = self.time.iter();
            headers.extend(time.map(|at| ("x-amz-date".to_owned(), at.clone())));
            let (algorithm, signature) = (&self.algorithm, &self.signature);
            let text = format!(
                "{algorithm} Credential={credential}, SignedHeaders={signed}, Signature={signature}"
            );
            headers.push(("authorization".to_owned(), text));
        }
        let mut target = Vec::new();
        encode_path(&self.path, &mut target);
        let mut target = String::from_utf8(target).map_err(|e| e.to_string())?;
        for (at, (name, value)) in query.iter().enumerate() {
            target.push(if at == 0 { '?' } else { '&' });
            target += &format!("{}={}", encode(name), encode(value));
        }
        super::head(&self.method, &target, &headers)
    }

    /// Whether the signature covers header `name`.
    pub(crate) fn covers(&self, name: &str) -> bool {
        self.signed.iter().any(|signed| signed == name)
    }
}
