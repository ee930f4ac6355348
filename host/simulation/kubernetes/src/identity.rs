//! Object ids and name suffixes from a seed: two runs with one seed name everything alike.

/// A SplitMix64 sequence: small, fast, and the same on every machine.
#[derive(Debug)]
pub(crate) struct Identities {
    state: u64,
}

/// The alphabet of generated names: no vowels and no look-alikes, so that no word appears by accident.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Length of the suffix that `generateName` gets.
const SUFFIX: usize = 5;

impl Identities {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A random (version 4) UUID.
    pub(crate) fn uid(&mut self) -> String {
        let high = self.next();
        let low = self.next();
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0x0fff,
            0x8000 | ((low >> 48) & 0x3fff),
            low & 0xffff_ffff_ffff,
        )
    }

    /// `base` with five characters appended, the base cut so that the name stays within 63.
    pub(crate) fn generated_name(&mut self, base: &str) -> String {
        let keep = base.len().min(63 - SUFFIX);
        let mut name = String::with_capacity(keep + SUFFIX);
        name.extend(base.chars().take(keep));
        for _ in 0..SUFFIX {
            let index = (self.next() % ALPHABET.len() as u64) as usize;
            name.push(char::from(ALPHABET[index]));
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::Identities;

    #[test]
    fn one_seed_gives_one_sequence() {
        let draw = |seed| {
            let mut ids = Identities::new(seed);
            (ids.uid(), ids.generated_name("web-"))
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn uids_have_the_form_of_version_4() {
        let uid = Identities::new(1).uid();
        let bytes = uid.as_bytes();
        assert_eq!(uid.len(), 36);
        assert_eq!(bytes[14], b'4');
        assert!(matches!(bytes[19], b'8' | b'9' | b'a' | b'b'));
    }

    #[test]
    fn generated_names_stay_within_a_label() {
        let name = Identities::new(1).generated_name(&"a".repeat(200));
        assert_eq!(name.len(), 63);
    }
}
