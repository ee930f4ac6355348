//! The rows of offers, datacenters and machines as servers of different versions send them, and their reading
//! into [`crate::model`].

use serde::Deserialize;
use serde_json::Value;

use crate::decode::{self, DecodeError};
use crate::ids::{DatacenterId, OfferId, VmUuid};
use crate::lenient;
use crate::model::{AttachableVm, Datacenter, HOURS_PER_MONTH, Offer};
use crate::wire::small;

#[derive(Deserialize)]
struct OfferRow {
    #[serde(deserialize_with = "lenient::number")]
    id: i64,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    nickname: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    identifier: Option<String>,
    #[serde(deserialize_with = "lenient::number")]
    cpu: i64,
    #[serde(deserialize_with = "lenient::number")]
    ram: i64,
    #[serde(default, deserialize_with = "lenient::maybe_amount")]
    disk: Option<u64>,
    #[serde(default, deserialize_with = "lenient::maybe_amount")]
    ssd: Option<u64>,
    #[serde(default, deserialize_with = "lenient::maybe_price")]
    price: Option<f64>,
    #[serde(default, deserialize_with = "lenient::maybe_price")]
    hourly_price: Option<f64>,
}

#[derive(Deserialize)]
struct AttachableRow {
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    identifier: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    hostname: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    default_ip: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    private_ip: Option<String>,
    #[serde(default, rename = "dcIdentifier", deserialize_with = "lenient::maybe_text")]
    datacenter: Option<String>,
}

#[derive(Deserialize)]
struct DatacenterRow {
    #[serde(deserialize_with = "lenient::text")]
    identifier: String,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    dc_name: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    country: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_flag")]
    is_active: Option<bool>,
    #[serde(default, deserialize_with = "lenient::maybe_flag")]
    is_deleted: Option<bool>,
}

pub(crate) fn offers(data: &Value) -> Result<Vec<Offer>, DecodeError> {
    let rows = decode::list::<OfferRow>(data)?;
    let read = |(index, row): (usize, OfferRow)| {
        let positive = |amount: i64, field: &str| {
            u64::try_from(amount)
                .ok()
                .filter(|amount| *amount > 0)
                .ok_or_else(|| {
                    DecodeError::new(format!("data[{index}].{field}"), "should be more than nothing")
                })
        };
        Ok(Offer {
            id: OfferId(row.id),
            name: row
                .name
                .or(row.nickname)
                .unwrap_or_else(|| format!("offer {}", row.id)),
            identifier: row.identifier,
            cpu: small(positive(row.cpu, "cpu")?),
            memory_mib: positive(row.ram, "ram")?,
            disk_gib: row.disk.or(row.ssd).unwrap_or(0),
            price_monthly: row.price,
            price_hourly: row
                .hourly_price
                .or(row.price.map(|month| month / HOURS_PER_MONTH)),
            price_hourly_derived: row.hourly_price.is_none() && row.price.is_some(),
        })
    };
    let mut offers = rows
        .into_iter()
        .enumerate()
        .map(read)
        .collect::<Result<Vec<_>, _>>()?;
    offers.sort_by_key(|offer| offer.id);
    Ok(offers)
}

pub(crate) fn attachable(data: &Value) -> Result<Vec<AttachableVm>, DecodeError> {
    let rows = decode::list::<AttachableRow>(data)?;
    // Rows of other kinds of storage owner have neither a name nor an identifier: not our business.
    let mut machines: Vec<_> = rows
        .into_iter()
        .filter_map(|row| {
            Some(AttachableVm {
                identifier: VmUuid::new(row.identifier?),
                hostname: row.hostname?,
                address: row.default_ip,
                private_address: row.private_ip,
                datacenter: row.datacenter.map(DatacenterId::new),
            })
        })
        .collect();
    machines.sort_by_cached_key(|vm| (vm.hostname.to_lowercase(), vm.identifier.clone()));
    Ok(machines)
}

pub(crate) fn datacenters(data: &Value) -> Result<Vec<Datacenter>, DecodeError> {
    let rows = decode::list::<DatacenterRow>(data)?;
    let mut places: Vec<_> = rows
        .into_iter()
        .filter(|row| row.is_deleted != Some(true))
        .map(|row| Datacenter {
            id: DatacenterId::new(row.identifier),
            name: row.dc_name.unwrap_or_default(),
            country: row.country,
            active: row.is_active.unwrap_or(true),
        })
        .collect();
    places.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(places)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_hourly_price_is_taken_as_sent_or_derived_and_marked() {
        let read = |row: Value| offers(&json!([row])).unwrap().remove(0);
        let sent = read(
            json!({"id": 1, "nickname": "S", "cpu": 1, "ram": 2048, "ssd": 40, "price": 7.3, "hourly_price": 0.02}),
        );
        assert_eq!((sent.name.as_str(), sent.disk_gib), ("S", 40));
        assert_eq!(
            (sent.price_hourly, sent.price_hourly_derived),
            (Some(0.02), false)
        );
        let derived =
            read(json!({"id": "1", "name": "S", "cpu": "1", "ram": "2048", "disk": 40, "price": "7.3"}));
        assert!((derived.price_hourly.unwrap() - 0.01).abs() < 1e-12);
        assert!(derived.price_hourly_derived);
        let unknown = read(json!({"id": 1, "cpu": 1, "ram": 2048}));
        assert_eq!(
            (unknown.price_hourly, unknown.price_hourly_derived),
            (None, false)
        );
        assert_eq!(
            offers(&json!([{"id": 1, "cpu": 0, "ram": 1}])).unwrap_err().path,
            "data[0].cpu"
        );
    }
}
