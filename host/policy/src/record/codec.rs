//! Records as bytes: a JSON document in gzip, so that `zcat` and `jq` read it everywhere.

use super::{FORMAT, Record, VERSION, rows};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};

/// The longest document that is read: that of a cluster of 5 000 nodes and 150 000 pods has a third of it.
const DOCUMENT_BYTES: u64 = 256 << 20;
/// How every gzip file begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Why bytes are no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("writing a decision record")]
    Write(#[source] std::io::Error),
    #[error("unpacking a decision record: it is damaged or cut off")]
    Damaged(#[source] std::io::Error),
    #[error("reading a decision record: it is longer than {0} bytes")]
    TooLong(u64),
    #[error("reading a decision record: it is no JSON document of the format {FORMAT}")]
    NotARecord(#[source] serde_json::Error),
    #[error(
        "reading a decision record of format {format:?} version {version}: this program reads {FORMAT} version {VERSION}"
    )]
    OtherFormat { format: String, version: u32 },
    #[error("reading a decision record: {field} is {index} of {count}")]
    OutOfRange { field: String, index: u32, count: usize },
}

impl RecordError {
    /// The stable word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Write(_) => "WriteFailed",
            Self::Damaged(_) => "Damaged",
            Self::TooLong(_) => "TooLong",
            Self::NotARecord(_) => "NotARecord",
            Self::OtherFormat { .. } => "OtherFormat",
            Self::OutOfRange { .. } => "OutOfRange",
        }
    }
}

#[derive(Serialize)]
struct Written<'a> {
    format: &'static str,
    version: u32,
    record: &'a Record,
}

#[derive(Deserialize)]
struct Head {
    format: String,
    version: u32,
}

#[derive(Deserialize)]
struct Body {
    record: Record,
}

/// The bytes of a record.
///
/// # Errors
/// Where memory is all that could fail, hence practically never.
pub fn encode(record: &Record) -> Result<Vec<u8>, RecordError> {
    let written = Written {
        format: FORMAT,
        version: VERSION,
        record,
    };
    // The fastest level: names that repeat are most of what there is to gain.
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    serde_json::to_writer(&mut packer, &written).map_err(|error| RecordError::Write(error.into()))?;
    packer.flush().map_err(RecordError::Write)?;
    packer.finish().map_err(RecordError::Write)
}

/// Reads a record: packed, or as plain JSON.
///
/// # Errors
/// What is wrong with it.
pub fn decode(bytes: &[u8]) -> Result<Record, RecordError> {
    decode_within(bytes, DOCUMENT_BYTES)
}

/// The same for a document of at most so many bytes, unpacked.
///
/// # Errors
/// What is wrong with it.
pub fn decode_within(bytes: &[u8], limit: u64) -> Result<Record, RecordError> {
    let unpacked;
    let document = if bytes.starts_with(&GZIP) {
        let mut text = Vec::new();
        let mut reader = GzDecoder::new(bytes).take(limit + 1);
        reader.read_to_end(&mut text).map_err(RecordError::Damaged)?;
        unpacked = text;
        unpacked.as_slice()
    } else {
        bytes
    };
    if document.len() as u64 > limit {
        return Err(RecordError::TooLong(limit));
    }
    let head: Head = serde_json::from_slice(document).map_err(RecordError::NotARecord)?;
    if (head.format.as_str(), head.version) != (FORMAT, VERSION) {
        return Err(RecordError::OtherFormat {
            format: head.format,
            version: head.version,
        });
    }
    let body: Body = serde_json::from_slice(document).map_err(RecordError::NotARecord)?;
    rows::check(&body.record)?;
    Ok(body.record)
}
