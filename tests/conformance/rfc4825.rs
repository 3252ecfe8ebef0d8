//! RFC 4825: XCAP, over HTTPS.

use lamplight_tests::node::Node;
use lamplight_tests::wire::Client;
use lamplight_tests::xcap::{ELEMENT, LISTS, SERVICES, Tree};

const NS: &str = "xmlns=\"urn:ietf:params:xml:ns:resource-lists\"";

fn pair() -> (Node, Client, Client) {
    let node = Node::start_new();
    let [alice, bob] = node.clients(["alice", "bob"]);
    (node, alice, bob)
}

fn friends() -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<resource-lists {NS}>\n <list name=\"friends\">\n  \
         <entry uri=\"sip:bob@example.test\"/>\n </list>\n</resource-lists>"
    )
}

fn cli(node: &Node, line: &str) -> String {
    node.appliance(&line.split(' ').collect::<Vec<_>>()).expect_done()
}

#[test]
fn s7_documents_are_created_replaced_read_and_deleted() {
    let (node, alice, _bob) = pair();
    let tree = Tree::of(&node, &alice);
    let send = |method: &str, body: &str| {
        tree.send(method, "resource-lists", "index", &[("Content-Type", LISTS)], body)
    };
    assert_eq!(send("GET", "").status, 404);
    let created = send("PUT", &friends());
    assert_eq!(created.status, 201, "{created:?}");
    let read = send("GET", "");
    assert_eq!((read.status, read.body.as_str()), (200, friends().as_str()));
    assert_eq!(read.header("Content-Type"), Some(LISTS));
    assert_eq!(read.header("ETag"), created.header("ETag"));
    let replaced = send("PUT", &friends());
    assert_eq!(replaced.status, 200);
    assert_ne!(replaced.header("ETag"), created.header("ETag"));
    assert_eq!(send("DELETE", "").status, 200);
    assert_eq!(send("DELETE", "").status, 404);
    let wrong =
        tree.send("PUT", "resource-lists", "index", &[("Content-Type", "text/xml")], &friends());
    assert_eq!(wrong.status, 415);
}

#[test]
fn s7_elements_and_attributes_are_documents_too() {
    let (node, alice, _bob) = pair();
    let tree = Tree::of(&node, &alice);
    tree.put("resource-lists", LISTS, &friends());
    let list = "index/~~/resource-lists/list%5b@name=%22friends%22%5d";
    let send = |method: &str, rest: &str, media: &str, body: &str| {
        let path = format!("{list}{rest}");
        tree.send(method, "resource-lists", &path, &[("Content-Type", media)], body)
    };
    let carol = "/entry%5b@uri=%22sip:carol@example.test%22%5d";
    let entry = "<entry uri=\"sip:carol@example.test\"><display-name>Carol</display-name></entry>";
    assert_eq!(send("PUT", carol, ELEMENT, entry).status, 201);
    assert_eq!(send("PUT", carol, ELEMENT, entry).status, 200);
    let read = send("GET", carol, "", "");
    assert_eq!((read.status, read.body.as_str()), (200, entry));
    assert_eq!(read.header("Content-Type"), Some(ELEMENT));
    let attribute = send("GET", "/entry%5b1%5d/@uri", "", "");
    assert_eq!(attribute.body, "sip:bob@example.test");
    assert_eq!(attribute.header("Content-Type"), Some("application/xcap-att+xml"));
    let spaces = send("GET", "/namespace::*", "", "");
    assert_eq!(spaces.header("Content-Type"), Some("application/xcap-ns+xml"));
    assert!(spaces.body.contains("urn:ietf:params:xml:ns:resource-lists"), "{spaces:?}");
    assert_eq!(send("PUT", "/namespace::*", "", "").status, 405);
    assert_eq!(send("DELETE", carol, "", "").status, 200);
    assert_eq!(send("GET", carol, "", "").status, 404);
    assert_eq!(send("GET", "/x:entry", "", "").status, 400, "a prefix that is not bound");
}

#[test]
fn s11_conflicts_say_what_is_wrong() {
    let (node, alice, _bob) = pair();
    let tree = Tree::of(&node, &alice);
    let put = |rest: &str, media: &str, body: &str| {
        let answer = tree.send("PUT", "resource-lists", rest, &[("Content-Type", media)], body);
        assert_eq!(answer.status, 409, "{answer:?}");
        assert_eq!(answer.header("Content-Type"), Some("application/xcap-error+xml"));
        answer.body
    };
    assert!(put("index/~~/resource-lists/list", ELEMENT, "<list/>").contains("<no-parent"));
    tree.put("resource-lists", LISTS, &friends());
    assert!(put("index", LISTS, "<a").contains("<not-well-formed"));
    assert!(put("index", LISTS, &format!("<a {NS}/>")).contains("<schema-validation-error"));
    let twice = friends().replace(" </list>", "<entry uri=\"sip:bob@example.test\"/></list>");
    assert!(put("index", LISTS, &twice).contains("<uniqueness-failure"));
    let path = "index/~~/resource-lists/list%5b@name=%22work%22%5d";
    assert!(put(path, ELEMENT, "<list name=\"home\"/>").contains("<cannot-insert"));
    assert!(put(path, ELEMENT, "<list/><list/>").contains("<not-xml-frag"));
    let many: String =
        (0..201).map(|n| format!("<entry uri=\"sip:u{n}@example.test\"/>")).collect();
    let document = format!("<resource-lists {NS}><list>{many}</list></resource-lists>");
    let refused = put("index", LISTS, &document);
    assert!(refused.contains("<constraint-failure") && refused.contains("200"), "{refused}");
    cli(&node, "set policy contacts 300");
    tree.put("resource-lists", LISTS, &document);
}

#[test]
fn s7_11_and_8_5_changes_are_conditional_on_the_entity_tag() {
    let (node, alice, _bob) = pair();
    let tree = Tree::of(&node, &alice);
    tree.put("resource-lists", LISTS, &friends());
    let send = |method: &str, condition: (&str, &str)| {
        let headers = [("Content-Type", LISTS), condition];
        tree.send(method, "resource-lists", "index", &headers, &friends())
    };
    let etag = send("GET", ("Accept", "*/*")).header("ETag").unwrap().to_owned();
    assert_eq!(send("GET", ("If-None-Match", &etag)).status, 304);
    assert_eq!(send("PUT", ("If-Match", "\"other\"")).status, 412);
    assert_eq!(send("PUT", ("If-None-Match", "*")).status, 412);
    assert_eq!(send("PUT", ("If-Match", &etag)).status, 200);
    assert_eq!(send("PUT", ("If-Match", &etag)).status, 412, "one of two writers wins");
}

#[test]
fn s8_who_asks_sees_only_its_own_tree() {
    let (node, alice, bob) = pair();
    Tree::of(&node, &alice).put("resource-lists", LISTS, &friends());
    let tree = Tree::of(&node, &bob);
    let path = |user: &str| format!("/xcap/resource-lists/users/{user}/index");
    assert_eq!(tree.send_to("GET", &path("sip:alice@example.test"), &[], "").status, 403);
    assert_eq!(tree.send_to("GET", &path("sip:nobody@example.test"), &[], "").status, 403);
    assert_eq!(tree.send_to("GET", "/xcap/unheard-of/users/bob/index", &[], "").status, 404);
    assert_eq!(tree.send_to("GET", "/xcap/resource-lists/global/index", &[], "").status, 404);
    assert_eq!(tree.send_to("PUT", "/xcap/resource-lists/global/index", &[], "").status, 403);
    assert_eq!(tree.send_to("POST", &path("bob"), &[], "").status, 405);
    let media = [("Content-Type", LISTS)];
    let deep = "/xcap/resource-lists/users/bob/a/b";
    assert_eq!(tree.send_to("PUT", deep, &media, &friends()).status, 409);
    // The same tree by every name of its owner.
    assert_eq!(tree.send_to("PUT", &path("bob@example.test"), &media, &friends()).status, 201);
    assert_eq!(tree.send_to("GET", &path("sip%3Abob%40EXAMPLE.test"), &[], "").status, 200);
    let nobody =
        lamplight_tests::http::send(node.ready.address("http"), "GET", &path("bob"), &[], "");
    assert_eq!(nobody.status, 401);
    assert!(nobody.head.contains("Digest realm=\"example.test\""), "{}", nobody.head);
}

#[test]
fn s12_capabilities_are_listed() {
    let (node, alice, _bob) = pair();
    let tree = Tree::of(&node, &alice);
    let answer = tree.send_to("GET", "/xcap/xcap-caps/global/index", &[], "");
    assert_eq!(answer.header("Content-Type"), Some("application/xcap-caps+xml"));
    assert!(answer.body.contains("<auid>pres-rules</auid>"), "{answer:?}");
    assert_eq!(tree.send_to("PUT", "/xcap/xcap-caps/global/index", &[], "").status, 405);
}

#[test]
fn s8_digest_is_taken_as_curl_sends_it() {
    let (node, alice, _bob) = pair();
    let url = format!(
        "https://{}/xcap/resource-lists/users/{}/index",
        node.ready.address("http"),
        alice.aor()
    );
    let curl = |words: &[&str]| {
        let got = std::process::Command::new("curl")
            .args(["-sk", "--digest", "-o", "/dev/null", "-w", "%{http_code}", &url])
            .args(words)
            .output()
            .expect("curl");
        String::from_utf8_lossy(&got.stdout).into_owned()
    };
    let right = format!("{}:{}", alice.user, alice.password);
    let media = format!("Content-Type: {LISTS}");
    assert_eq!(curl(&["-u", &right, "-X", "PUT", "-H", &media, "-d", &friends()]), "201");
    assert_eq!(curl(&["-u", &right]), "200");
    assert_eq!(curl(&["-u", "alice:wrong"]), "401");
}

#[test]
fn rfc4826_s4_4_5_a_service_has_a_uri_of_its_own() {
    let (node, alice, bob) = pair();
    let services = |uri: &str| {
        format!(
            "<rls-services xmlns=\"urn:ietf:params:xml:ns:rls-services\"><service uri=\"{uri}\">\
             <list/></service></rls-services>"
        )
    };
    Tree::of(&node, &alice).put("rls-services", SERVICES, &services("sip:team@example.test"));
    for taken in ["sip:team@example.test", "sip:alice@example.test", "sip:x@elsewhere.test"] {
        let media = [("Content-Type", SERVICES)];
        let tree = Tree::of(&node, &bob);
        let answer = tree.send("PUT", "rls-services", "index", &media, &services(taken));
        assert_eq!(answer.status, 409, "{taken}: {answer:?}");
        assert!(answer.body.contains("<uniqueness-failure"), "{answer:?}");
    }
    Tree::of(&node, &alice).put("rls-services", SERVICES, &services("sip:crew@example.test"));
    Tree::of(&node, &bob).put("rls-services", SERVICES, &services("sip:team@example.test"));
}
