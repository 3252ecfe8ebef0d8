//! RFC 3840: capabilities of user agents, kept with the binding; RFC 5626's instance among them.

use lamplight_tests::node::Node;

#[test]
fn s9_feature_parameters_of_a_contact_are_kept() {
    let node = Node::start_new();
    let [alice] = node.clients(["alice"]);
    let contact = "\"Desk, 3rd floor\" <sip:alice@192.0.2.4:5062;transport=tcp;line=a1>;\
                   +sip.instance=\"<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>\";reg-id=1;\
                   audio;methods=\"INVITE,MESSAGE\";+g.example=\"x;y,z\";mobility=\"fixed\"";
    let request = alice.registration().header("Contact", contact).header("Expires", 600);
    let added = alice.request(request).expect_status(200);
    let fetched = alice.request(alice.registration()).expect_status(200);
    for answer in [added, fetched] {
        let contacts = answer.all("Contact");
        assert_eq!(contacts.len(), 1, "{answer}");
        let parts = [
            "sip:alice@192.0.2.4:5062;transport=tcp;line=a1",
            "+sip.instance=\"<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>\"",
            "audio",
            "methods=\"INVITE,MESSAGE\"",
            "+g.example=\"x;y,z\"",
            "mobility=\"fixed\"",
        ];
        for part in parts {
            assert!(contacts[0].contains(part), "{part} in {}", contacts[0]);
        }
    }
}
