//! Reads the requests that `sign.py` had botocore sign, and asks the gateway's own code of each:
//! it must be accepted as it came, and refused, for the right reason, once any one field is another.
//!
//! `sign.py 100000 | verify_lines` prints `verified N, mutations M`, or the first line that they
//! disagree on and why. A request can be changed in some seventy ways: by default twenty are tried
//! of each line, in turn, so that each is of as many lines as any other; `verify_lines 0` tries all.

mod change;
mod parts;

use std::collections::{BTreeSet, HashMap};
use std::io::BufRead;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use change::Change;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use parts::Parts;
use portcullis::authn::Authenticator;
use portcullis::crypto::Secret;
use portcullis::identity::{AccessKey, Directory, Owner};
use portcullis::s3::{Addressing, Call, Head, Payload, Peer, Request, Target};
use serde::Deserialize;
use time::OffsetDateTime;

/// How many changes are tried of each line.
const CHANGES: usize = 20;

/// So many lines leave no kind of change out.
const ENOUGH: usize = 2_000;

const BATCH: usize = 250;

/// The first line: whom the requests are from, and for where.
#[derive(Deserialize)]
struct Setting {
    domain: String,
    regions: Vec<String>,
    keys: HashMap<String, String>,
}

/// A signed request as it is sent.
#[derive(Deserialize)]
struct Line {
    now: i64,
    region: String,
    /// Whether S3 has such a request, beyond its signature.
    parses: bool,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
}

/// Those who exist, and the gateways they ask, one for each region.
struct World {
    directory: Directory,
    gateways: HashMap<String, Authenticator>,
    addressing: Addressing,
    /// Stands in for what a request asks, where only its signature matters: an upload, which may
    /// have any payload.
    call: Call,
}

/// What the lines amounted to.
#[derive(Default)]
struct Count {
    lines: usize,
    changes: usize,
    kinds: BTreeSet<&'static str>,
}

fn main() -> ExitCode {
    let changes = std::env::args().nth(1).map(|n| n.parse());
    let changes = match changes {
        None => Ok(CHANGES),
        Some(n) => n.map(|n| if n == 0 { usize::MAX } else { n }),
    };
    let counted = changes
        .map_err(|e| format!("verify_lines [CHANGES]: {e}"))
        .and_then(run);
    match counted {
        Ok(count) => {
            println!("verified {}, mutations {}", count.lines, count.changes);
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn run(changes: usize) -> Result<Count, String> {
    let mut lines = std::io::stdin().lock().lines();
    let first = lines.next().ok_or("nothing to read")?;
    let setting = first.map_err(|e| e.to_string())?;
    let world = World::new(&setting)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (sender, receiver) = sync_channel::<Vec<(usize, String)>>(threads * 4);
    let (receiver, stop) = (Mutex::new(receiver), AtomicBool::new(false));
    let work = || {
        let count = verify_batches(&world, changes, &receiver);
        stop.fetch_or(count.is_err(), Ordering::Relaxed);
        count
    };
    let count = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let read = send_batches(lines.map_while(Result::ok), &sender, &stop);
        drop(sender);
        let mut sum = Count::default();
        for worker in workers {
            let count = worker
                .join()
                .map_err(|_| "a worker panicked".to_owned())??;
            sum.lines += count.lines;
            sum.changes += count.changes;
            sum.kinds.extend(count.kinds);
        }
        match sum.lines == read {
            true => Ok(sum),
            false => Err(format!("{} lines of {read} were verified", sum.lines)),
        }
    })?;
    let dead = Change::kinds().find(|kind| !count.kinds.contains(kind));
    match dead {
        Some(kind) if count.lines >= ENOUGH => Err(format!("never made: {kind}")),
        _ => Ok(count),
    }
}

/// Hands lines out, with their numbers, and says how many there were.
fn send_batches(
    lines: impl Iterator<Item = String>,
    to: &SyncSender<Vec<(usize, String)>>,
    stop: &AtomicBool,
) -> usize {
    let mut batch = Vec::with_capacity(BATCH);
    let mut read = 0;
    for line in lines {
        batch.push((read, line));
        read += 1;
        if batch.len() == BATCH {
            let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
            if stop.load(Ordering::Relaxed) || to.send(full).is_err() {
                return read;
            }
        }
    }
    // A refused batch is a lost one, which the count shows.
    let _ = to.send(batch);
    read
}

fn verify_batches(
    world: &World,
    changes: usize,
    from: &Mutex<Receiver<Vec<(usize, String)>>>,
) -> Result<Count, String> {
    let mut count = Count::default();
    let next = || {
        let receiver = from.lock().unwrap_or_else(PoisonError::into_inner);
        // What the reader waits to hand over is for those who have not failed.
        receiver.recv()
    };
    while let Ok(batch) = next() {
        for (number, line) in batch {
            let verified = verify(world, number, &line, changes, &mut count);
            verified.map_err(|why| format!("line {number}: {why}\n{line}"))?;
        }
    }
    Ok(count)
}

/// One line: accepted as it came, and refused with any one field changed.
fn verify(
    world: &World,
    number: usize,
    text: &str,
    changes: usize,
    count: &mut Count,
) -> Result<(), String> {
    let line: Line = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let now = OffsetDateTime::from_unix_timestamp(line.now).map_err(|e| e.to_string())?;
    let head = head(&line.method, &line.target, &line.headers)?;
    let parts = Parts::of(&head, &line.region).ok_or("the signature cannot be taken apart")?;
    if line.parses {
        world.asks_of_s3(head.clone(), &parts, now)?;
    }
    if let Some(reason) = world.refusal(head, &parts, now) {
        return Err(format!("refused: {reason}"));
    }
    let same = parts.head()?;
    if let Some(reason) = world.refusal(same, &parts, now) {
        return Err(format!("refused once spelt our way: {reason}"));
    }
    count.lines += 1;

    let all = Change::of(&parts);
    let from = number.wrapping_mul(changes) % all.len().max(1);
    for change in all.iter().cycle().skip(from).take(changes.min(all.len())) {
        let mut changed = parts.clone();
        // A number of its own for each change of each line, to choose a place by.
        let place = number.wrapping_mul(31).wrapping_add(change.item * 7 + from);
        if (change.kind.make)(&mut changed, change.item, place).is_none() {
            continue;
        }
        let refusal = world.refusal(changed.head()?, &changed, now);
        let name = change.kind.name;
        match refusal {
            Some(reason) if change.kind.refused_as.contains(&reason) => {}
            Some(reason) => return Err(format!("{name}: refused as {reason}: {changed:?}")),
            None => {
                return Err(format!(
                    "{name}: accepted. This is a security issue: {changed:?}"
                ));
            }
        }
        count.changes += 1;
        count.kinds.insert(name);
    }
    Ok(())
}

impl World {
    fn new(setting: &str) -> Result<Self, String> {
        let setting: Setting = serde_json::from_str(setting).map_err(|e| e.to_string())?;
        let keys = setting.keys.into_iter().map(|(id, secret)| AccessKey {
            id: id.into(),
            secret: Secret::new(secret),
            owner: Owner::Root,
            enabled: true,
            policy: None,
        });
        let gateway = |region: String| (region.clone(), Authenticator::new(region.into()));
        let upload = head("PUT", "/bucket/key", &[])?;
        let upload = Request::parse(upload, &Addressing::default()).map_err(|e| e.to_string())?;
        Ok(Self {
            directory: Directory::new(keys),
            gateways: setting.regions.into_iter().map(gateway).collect(),
            addressing: Addressing::new([setting.domain]),
            call: upload.call,
        })
    }

    fn authenticate(
        &self,
        request: &Request,
        parts: &Parts,
        now: OffsetDateTime,
    ) -> Result<(), &'static str> {
        let gateway = self.gateways.get(&parts.gateway).ok_or("no gateway")?;
        let caller = gateway.authenticate(request, &self.directory, now);
        let caller = caller.map_err(|e| e.reason())?;
        let proof = caller.proof().ok_or("anonymous")?;
        match *proof.access_key_id == *parts.id {
            true => Ok(()),
            false => Err("taken for somebody else"),
        }
    }

    /// Why the signature is refused, or `None` where it is accepted.
    fn refusal(&self, head: Head, parts: &Parts, now: OffsetDateTime) -> Option<&'static str> {
        let Ok(payload) = Payload::parse(&head) else {
            return Some("payload");
        };
        let request = Request {
            head,
            target: Target::Service,
            call: self.call.clone(),
            payload,
        };
        self.authenticate(&request, parts, now).err()
    }

    /// The whole way, as the gateway goes it: from the head to a typed call to a caller.
    fn asks_of_s3(&self, head: Head, parts: &Parts, now: OffsetDateTime) -> Result<(), String> {
        let request = Request::parse(head, &self.addressing);
        let request = request.map_err(|e| format!("not parsed: {e}"))?;
        let caller = self.authenticate(&request, parts, now);
        caller.map_err(|reason| format!("refused: {reason}"))
    }
}

/// A head of what stands on the wire.
fn head(method: &str, target: &str, headers: &[(String, String)]) -> Result<Head, String> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|e| e.to_string())?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|e| e.to_string())?;
        map.append(name, value);
    }
    let host = map.get("host").and_then(|v| v.to_str().ok());
    let host = host.unwrap_or_default().to_owned();
    let method = Method::from_bytes(method.as_bytes()).map_err(|e| e.to_string())?;
    let peer = Peer {
        address: [127, 0, 0, 1].into(),
        secure: true,
        tls_version: None,
    };
    Head::new(method, target, host, map, peer).map_err(|e| e.to_string())
}
