//! Portcullis: a sidecar authorization proxy for object storage.
//!
//! The rooms, in reading order. Imports point down this list and never up.

// Nouns: pure values, formats and algorithms. No I/O, no clock, no configuration.
pub mod crypto;
pub mod iam;
pub mod s3;
pub mod sigv4;

// The gateway's own small files.
pub mod files;

// Verbs: turn nouns into proofs.
pub mod authn;
pub mod authz;
pub mod transform;

// What callers share.
pub mod fair;

// What is told of a request.
pub mod audit;

// Doors: the world outside.
pub mod admin;
pub mod backend;
pub mod handler;
pub mod identity;
pub mod listener;
pub mod metrics;

// Roof: where all rooms meet.
pub mod cli;
pub mod config;
pub mod proxy;
pub mod server;

#[cfg(test)]
mod tidy;
