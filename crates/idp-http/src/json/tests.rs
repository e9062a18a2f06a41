use super::*;

fn object(bytes: &[u8]) -> Result<Vec<(String, Value)>, JsonError> {
    let mut read = Vec::new();
    members(bytes, |name, value| read.push((name.to_owned(), value))).map(|()| read)
}

#[test]
fn well_formed_documents_keep_their_values() {
    let text =
        r#" {"a":[1,-2,1.5,true,null,"x"],"b":{"a":{},"\u0062":"\u0041","c":[]},"c":[[],{}]} "#;
    let plain: Value = serde_json::from_str(text).unwrap();
    assert_eq!(from_slice(text.as_bytes()).unwrap(), plain);
    let read: serde_json::Map<_, _> = object(text.as_bytes()).unwrap().into_iter().collect();
    assert_eq!(Value::Object(read), plain);
}

#[test]
fn texts_without_escapes_are_borrowed_and_names_keep_their_order() {
    #[derive(Debug, PartialEq)]
    enum Told<'a> {
        Text(Cow<'a, str>),
        Names(Vec<Cow<'a, str>>),
        Rest,
    }
    impl<'a> From<Cow<'a, str>> for Told<'a> {
        fn from(text: Cow<'a, str>) -> Self {
            Self::Text(text)
        }
    }
    impl<'a> FromIterator<(Cow<'a, str>, Self)> for Told<'a> {
        fn from_iter<I: IntoIterator<Item = (Cow<'a, str>, Self)>>(members: I) -> Self {
            Self::Names(members.into_iter().map(|(name, _)| name).collect())
        }
    }
    impl FromIterator<Self> for Told<'_> {
        fn from_iter<I: IntoIterator<Item = Self>>(_: I) -> Self {
            Self::Rest
        }
    }
    macro_rules! rest {
        ($($from:ty),*) => {
            $(impl From<$from> for Told<'_> {
                fn from(_: $from) -> Self {
                    Self::Rest
                }
            })*
        };
    }
    rest!((), bool, i64, u64, f64);

    let mut read = Vec::new();
    let text = r#"{"a":"x","b":"\u0041","c":{"z":1,"\u0079":2,"x":null},"d":[]}"#;
    members_of_text(text, |_, value: Told<'_>| read.push(value)).unwrap();
    let names = ["z", "y", "x"].map(Cow::Borrowed).to_vec();
    assert!(matches!(read[0], Told::Text(Cow::Borrowed("x"))));
    assert!(matches!(&read[1], Told::Text(Cow::Owned(text)) if text == "A"));
    assert_eq!(read[2..], [Told::Names(names), Told::Rest]);
    // This one takes nothing of an array.
    assert!(members_of_text(r#"{"a":[1]}"#, |_, _: Told<'_>| ()).is_err());
}

/// N27
#[test]
fn numbers_are_what_they_are_however_serde_json_is_built() {
    for (text, integer, float) in [
        ("0", Some(0), Some(0.0)),
        ("-0", None, Some(-0.0)),
        ("-7", Some(-7), Some(-7.0)),
        ("1.5", None, Some(1.5)),
        ("1e3", None, Some(1_000.0)),
        (
            "9223372036854775807",
            Some(i64::MAX),
            Some(9.223_372_036_854_776e18),
        ),
        (
            "-9223372036854775808",
            Some(i64::MIN),
            Some(-9.223_372_036_854_776e18),
        ),
        (
            "18446744073709551615",
            None,
            Some(1.844_674_407_370_955_2e19),
        ),
        (
            "18446744073709551616",
            None,
            Some(1.844_674_407_370_955_2e19),
        ),
    ] {
        let seen = |value: &Value| (value.as_i64(), value.as_f64());
        assert_eq!(
            number(text).as_ref().map(seen),
            Some((integer, float)),
            "{text}"
        );
        let read = from_slice(text.as_bytes()).unwrap();
        assert!(read.is_number(), "{text}");
        assert_eq!(seen(&read), (integer, float), "{text}");
        let document = format!(r#"{{"n":{text}}}"#);
        assert_eq!(
            object(document.as_bytes()).unwrap(),
            [("n".to_owned(), read)]
        );
    }
    assert_eq!(number::<Value>("1e400"), None);
}

/// A26, A27, E24, E25, E26, E27, E28
#[test]
fn ambiguous_and_broken_documents_are_refused_however_they_are_read() {
    let deep_object = format!("{}1{}", r#"{"a":"#.repeat(129), "}".repeat(129));
    let deep_array = format!(r#"{{"a":{}"#, "[".repeat(300_000));
    let many = format!(
        "{{{}\"m3\":1}}",
        (0..1_000)
            .map(|n| format!("\"m{n}\":1,"))
            .collect::<String>()
    );
    for (name, bytes) in [
        ("empty", b"".as_slice()),
        ("duplicate", br#"{"a":1,"a":1}"#),
        ("duplicate by escape", br#"{"a":1,"\u0061":1}"#),
        ("duplicate in an object", br#"{"a":{"b":1,"b":2}}"#),
        (
            "duplicate in an array",
            br#"{"a":[{},[{"b":1,"c":0,"b":2}]]}"#,
        ),
        ("duplicate among many", many.as_bytes()),
        (
            "name taken by serde_json",
            br#"{"$serde_json::private::RawValue":"1"}"#,
        ),
        (
            "name taken by serde_json inside",
            br#"{"a":[{"$serde_json::private::RawValue":"1"}]}"#,
        ),
        (
            "a number's name",
            br#"{"a":{"$serde_json::private::Number":"1"}}"#,
        ),
        (
            "a number's name with an escape",
            br#"{"a":{"\u0024serde_json::private::Number":"\u0031"}}"#,
        ),
        (
            "a number's name behind another",
            br#"{"a":{"b":1,"$serde_json::private::Number":"1"}}"#,
        ),
        (
            "a number's name outside",
            br#"{"$serde_json::private::Number":"1"}"#,
        ),
        ("byte order mark", b"\xef\xbb\xbf{}"),
        ("UTF-16", b"{\0}\0"),
        ("UTF-16 with its mark", b"\xff\xfe{\0}\0"),
        ("invalid UTF-8", b"{\"a\":\"\xff\"}"),
        ("overlong UTF-8", b"{\"a\":\"\xc0\xaf\"}"),
        ("lone surrogate", br#"{"a":"\ud800"}"#),
        ("lone surrogate as name", br#"{"\udc00":1}"#),
        ("lone surrogate inside", br#"{"a":[{"b":"\ud800"}]}"#),
        ("raw control character", b"{\"a\":\"\x01\"}"),
        ("trailing bytes", br#"{"a":1} x"#),
        ("trailing NUL", b"{}\0"),
        ("two objects", b"{}{}"),
        ("comment", b"{/**/}"),
        ("trailing comma", br#"{"a":1,}"#),
        ("NaN", br#"{"a":NaN}"#),
        ("number out of range", br#"{"a":1e400}"#),
        ("number out of range inside", br#"{"a":[{"b":-1e400}]}"#),
        ("leading zero", br#"{"a":01}"#),
        ("deep objects", deep_object.as_bytes()),
        ("deep arrays", deep_array.as_bytes()),
    ] {
        assert!(object(bytes).is_err(), "{name}");
        assert!(from_slice(bytes).is_err(), "{name}");
    }
    for (name, bytes) in [
        ("null", b"null".as_slice()),
        ("array", b"[]"),
        ("string", b"\"a\""),
        ("number", b"1"),
    ] {
        assert!(object(bytes).is_err(), "{name}");
        assert!(from_slice(bytes).is_ok(), "{name}");
    }
}

#[test]
fn an_error_says_where_and_not_what() {
    for (bytes, expected) in [
        (b"{\n\"a\": nul}".as_slice(), "line 2, column 9"),
        (b"{\n\"a\": \"\xff\"}", "line 2, column 7"),
        (b"\xff", "line 1, column 1"),
    ] {
        let error = from_slice(bytes).unwrap_err().to_string();
        assert_eq!(error, format!("not strict JSON ({expected})"));
    }
}
