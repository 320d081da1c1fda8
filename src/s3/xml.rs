//! The few XML documents that S3 reads and writes.
