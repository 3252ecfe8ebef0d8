//! RFC 3311: UPDATE, which a proxy passes through like any request in a dialog.

use lamplight_tests::node::Setup;
use lamplight_tests::wire::Dialog;
use lamplight_tests::wire::dialog::offer;

#[test]
fn s5_update_passes_in_an_early_dialog() {
    let node = Setup::default().trusting().start();
    let [alice, bob] = node.clients(["alice", "bob"]);
    bob.register();
    let sent = alice.send(alice.invitation(&bob.aor()));
    let invite = bob.expect_request("INVITE");
    bob.respond(&invite, 183);
    let early = alice.expect("183", |m| m.status() == Some(183));
    let mut dialog = Dialog::from_answer(&early);
    let update = dialog
        .next("UPDATE")
        .header("Contact", format!("<{}>", alice.contact()))
        .body("application/sdp", offer(alice.local.ip()));
    alice.in_dialog(&mut dialog, update).expect_status(200);
    assert_eq!(bob.expect_request("UPDATE").request_uri(), bob.contact());
    bob.respond(&invite, 200);
    let answer = alice.final_answer(&sent).expect_status(200);
    alice.send(Dialog::from_answer(&answer).next("ACK"));
    bob.expect_request("ACK");
}
