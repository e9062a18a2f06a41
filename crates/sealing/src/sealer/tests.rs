use super::*;
use aws_lc_rs::aead::{LessSafeKey, UnboundKey};
use aws_lc_rs::test::from_hex;

const KEY: &str = "0100000000000000000000000000000000000000000000000000000000000000";
const AT_3: &str = "030000000000000000000000";

/// Key, nonce, associated data, value, ciphertext and tag.
const VECTORS: [(&str, &str, &str, &str, &str); 10] = [
    (KEY, AT_3, "", "", "07f5f4169bbf55a8400cd47ea6fd400f"),
    (
        KEY,
        AT_3,
        "",
        "0100000000000000",
        "c2ef328e5c71c83b843122130f7364b761e0b97427e3df28",
    ),
    (
        KEY,
        AT_3,
        "",
        "01000000000000000000000000000000020000000000000000000000000000000300000000000000\
         000000000000000004000000000000000000000000000000",
        "c2d5160a1f8683834910acdafc41fbb1632d4a353e8b905ec9a5499ac34f96c7e1049eb080883891\
         a4db8caaa1f99dd004d80487540735234e3744512c6f90ce112864c269fc0d9d88c61fa47e39aa08",
    ),
    (
        KEY,
        AT_3,
        "01",
        "0200000000000000",
        "1de22967237a813291213f267e3b452f02d01ae33e4ec854",
    ),
    (
        KEY,
        AT_3,
        "010000000000000000000000000000000200",
        "0300000000000000000000000000000004000000",
        "43dd0163cdb48f9fe3212bf61b201976067f342bb879ad976d8242acc188ab59cabfe307",
    ),
    (
        "e66021d5eb8e4f4066d4adb9c33560e4f46e44bb3da0015c94f7088736864200",
        "e0eaf5284d884a0e77d31646",
        "",
        "",
        "169fbb2fbf389a995f6390af22228a62",
    ),
    (
        "bae8e37fc83441b16034566b7a806c46bb91c3c5aedb64a6c590bc84d1a5e269",
        "e4b47801afc0577e34699b9e",
        "4fbdc66f14",
        "671fdd",
        "0eaccb93da9bb81333aee0c785b240d319719d",
    ),
    (
        "9745b3d1ae06556fb6aa7890bebc18fe6b3db4da3d57aa94842b9803a96e07fb",
        "6de71860f762ebfbd08284e4",
        "f37de21c7ff901cfe8a69615a93fdf7a98cad481796245709f",
        "21702de0de18baa9c9596291b08466",
        "793576dfa5c0f88729a7ed3c2f1bffb3080d28f6ebb5d3648ce97bd5ba67fd",
    ),
    (
        "b18853f68d833640e42a3c02c25b64869e146d7b233987bddfc240871d7576f7",
        "028ec6eb5ea7e298342a94d4",
        "9c2159058b1f0fe91433a5bdc20e214eab7fecef4454a10ef0657df21ac7",
        "b202b370ef9768ec6561c4fe6b7e7296fa85",
        "857e16a64915a787637687db4a9519635cdd454fc2a154fea91f8363a39fec7d0a49",
    ),
    (
        "3c535de192eaed3822a2fbbe2ca9dfc88255e14a661b8aa82cc54236093bbc23",
        "688089e55540db1872504e1c",
        "734320ccc9d9bbbb19cb81b2af4ecbc3e72834321f7aa0f70b7282b4f33df23f167541",
        "ced532ce4159b035277d4dfbb7db62968b13cd4eec",
        "626660c26ea6612fb17ad91e8e767639edd6c9faee9d6c7029675b89eaf4ba1ded1a286594",
    ),
];

#[test]
fn the_cipher_is_that_of_the_test_vectors_of_rfc_8452_appendix_c_2() {
    for (key, nonce, aad, value, sealed) in VECTORS {
        let [key, nonce, aad, value, sealed] =
            [key, nonce, aad, value, sealed].map(|it| from_hex(it).unwrap());
        let bytes: [u8; 32] = key.try_into().unwrap();
        let nonce: [u8; NONCE] = nonce.try_into().unwrap();
        let key = <RandomizedNonceKey as Key>::new(&bytes);
        let opened = open(&key, nonce, &sealed, &aad).unwrap();
        assert_eq!(*opened, value);
        // What seals draws its nonce itself; the same cipher with a given one makes the same bytes.
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, &bytes).unwrap());
        let mut made = value;
        let nonce = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(nonce, Aad::from(&aad), &mut made)
            .unwrap();
        assert_eq!(made, sealed);
    }
}
