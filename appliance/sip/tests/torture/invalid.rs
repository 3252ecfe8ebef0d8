//! RFC 4475 §3.1.2: invalid messages. Where the RFC lets an element choose between refusing and
//! guessing, Lamplight refuses: a guess is what lets two elements read one message differently.

use sip::header::HeaderError;
use sip::header::contact::Contact;
use sip::message::HeaderAccess;
use sip::parse::ParseFailure;

use crate::{read, refusal, refused, request};

fn bad(reason: &str) -> (u16, String) {
    (400, reason.to_owned())
}

#[test]
fn s3_1_2_1_badinv01_extraneous_separators() {
    assert_eq!(refused("badinv01"), bad("Empty Value in Header List"));
    let contact = "\"Joe\" <sip:joe@example.org>;;;;";
    assert_eq!(Contact::parse(contact), Err(HeaderError::Param));
}

#[test]
fn s3_1_2_2_clerr_content_length_too_large() {
    assert_eq!(refused("clerr"), bad("Content-Length Exceeds Message"));
}

#[test]
fn s3_1_2_3_ncl_negative_content_length() {
    assert_eq!(refused("ncl"), bad("Malformed Content-Length"));
}

#[test]
fn s3_1_2_4_scalar02_overlarge_values_in_a_request() {
    assert_eq!(refused("scalar02"), bad("Malformed CSeq"));
}

#[test]
fn s3_1_2_5_scalarlg_overlarge_values_in_a_response() {
    assert_eq!(read("scalarlg"), Err(ParseFailure::Drop("Malformed CSeq")));
}

#[test]
fn s3_1_2_6_quotbal_unterminated_quote() {
    assert_eq!(refused("quotbal"), bad("Malformed To"));
    let to = refusal("quotbal").headers.value("To").map(str::to_owned);
    assert_eq!(to.as_deref(), Some("\"Mr. J. User <sip:j.user@example.com>"), "as it came");
}

#[test]
fn s3_1_2_7_ltgtruri_brackets_round_the_request_uri() {
    assert_eq!(refused("ltgtruri"), bad("Malformed Request-URI Scheme"));
}

#[test]
fn s3_1_2_8_lwsruri_blank_in_the_request_uri() {
    assert_eq!(refused("lwsruri"), bad("Blank in Request Line"));
}

#[test]
fn s3_1_2_9_lwsstart_several_blanks() {
    assert_eq!(refused("lwsstart"), bad("Blank in Request Line"));
}

#[test]
fn s3_1_2_10_trws_trailing_blanks() {
    assert_eq!(refused("trws"), bad("Blank in Request Line"));
}

#[test]
fn s3_1_2_11_escruri_headers_in_the_request_uri() {
    assert_eq!(refused("escruri"), bad("Headers in Request-URI"));
}

#[test]
fn s3_1_2_12_baddate_does_not_matter_to_who_reads_no_date() {
    let request = request("baddate");
    assert_eq!(request.headers.value("Date"), Some("Fri, 01 Jan 2010 16:00:00 EST"));
}

#[test]
fn s3_1_2_13_regbadct_a_contact_that_needs_brackets() {
    let request = request("regbadct");
    let contact = Contact::from_values(request.headers.values("Contact"));
    assert_eq!(contact, Err(HeaderError::Bracket), "the registrar answers 400");
}

#[test]
fn s3_1_2_14_badaspec_blanks_within_brackets() {
    assert_eq!(refused("badaspec"), bad("Malformed To"));
}

#[test]
fn s3_1_2_15_baddn_a_name_that_must_be_quoted() {
    assert_eq!(refused("baddn"), bad("Malformed From"));
}

#[test]
fn s3_1_2_16_badvers() {
    assert_eq!(refused("badvers"), (505, "Version Not Supported".to_owned()));
}

#[test]
fn s3_1_2_17_mismatch01_cseq_of_another_method() {
    assert_eq!(refused("mismatch01"), bad("CSeq Names Another Method"));
}

#[test]
fn s3_1_2_18_mismatch02_unknown_method_and_cseq_of_another() {
    assert_eq!(refused("mismatch02"), bad("CSeq Names Another Method"));
}

#[test]
fn s3_1_2_19_bigcode() {
    assert_eq!(read("bigcode"), Err(ParseFailure::Drop("malformed status code")));
}
