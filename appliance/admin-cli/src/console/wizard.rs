//! The questions of the first start.

use std::io::{self, Write as _};

use admin_api::client::AskFailure;
use admin_api::platform::answer::{Answer, Platform};
use admin_api::platform::request::Request;
use admin_api::platform::settings::{Ipv4Settings, Ipv6Settings, SetUp};
use admin_api::refusal::RefusalCode;
use admin_api::secret::Secret;

use super::{MAX_LINE_BYTES, Step, Stop, ask, new_password, print};
use crate::answers::{self, Checked};
use crate::failure::Failure;
use crate::render::Fields;
use crate::render::text::safe;
use crate::session::Session;
use crate::terminal::line::{Reading, Typed};

const INTRODUCTION: [&str; 3] = [
    "The appliance is not set up yet. Some questions follow; each can be answered anew later.",
    "Enter takes the answer in brackets. Ctrl-C begins again with the first question.",
    "",
];

/// Why the questions are left.
enum Leave {
    /// To begin again.
    Again,
    /// An answer file, or somebody at another console, has answered them.
    SetUpElsewhere,
    /// The console ends.
    Stop(Stop),
}

impl From<Stop> for Leave {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

type Asked<T> = Result<T, Leave>;

/// The answers, as they were typed: the next round's defaults.
#[derive(Debug, Clone)]
struct Draft {
    host_name: String,
    domain: String,
    ipv4: String,
    ipv4_address: String,
    ipv4_gateway: String,
    ipv6: String,
    ipv6_address: String,
    ipv6_gateway: String,
    name_servers: String,
    time_zone: String,
    time_servers: String,
}

impl Draft {
    fn new(facts: &Platform) -> Self {
        Self {
            host_name: facts.host_name.clone(),
            domain: String::new(),
            ipv4: "dhcp".to_owned(),
            ipv4_address: String::new(),
            ipv4_gateway: "none".to_owned(),
            ipv6: "automatic".to_owned(),
            ipv6_address: String::new(),
            ipv6_gateway: "none".to_owned(),
            name_servers: "automatic".to_owned(),
            time_zone: "UTC".to_owned(),
            time_servers: "automatic".to_owned(),
        }
    }
}

/// Asks until the appliance is set up.
pub(super) fn run(session: &Session, facts: &Platform) -> Step<()> {
    let mut wizard = Wizard {
        session,
        draft: Draft::new(facts),
        zones: match session.ask_platform(&Request::ListTimeZones) {
            Ok(Answer::TimeZones(zones)) => zones,
            _ => Vec::new(),
        },
        fault: None,
    };
    wizard.tell_fault(facts.answer_file_fault.clone())?;
    print(INTRODUCTION.map(str::to_owned))?;
    loop {
        match wizard.round() {
            Ok(()) => return print([String::new(), "The appliance is set up.".to_owned()]),
            Err(Leave::Again) => print([String::new()])?,
            Err(Leave::SetUpElsewhere) => {
                return print(["The appliance was set up meanwhile.".to_owned()]);
            }
            Err(Leave::Stop(stop)) => return Err(stop),
        }
    }
}

struct Wizard<'a> {
    session: &'a Session,
    draft: Draft,
    zones: Vec<String>,
    /// What was told of an answer file.
    fault: Option<String>,
}

impl Wizard<'_> {
    /// All questions once.
    fn round(&mut self) -> Asked<()> {
        let draft = self.draft.clone();
        let host_name = self.question("Host name", &draft.host_name, answers::host_name)?;
        self.draft.host_name.clone_from(&host_name);
        let domain =
            self.question("SIP domain (what stands behind the @)", &draft.domain, answers::domain)?;
        self.draft.domain.clone_from(&domain);
        let ipv4 = self.ipv4(&draft)?;
        let ipv6 = self.ipv6(&draft)?;
        let name_servers = self.question(
            "Name servers, up to three, or automatic",
            &draft.name_servers,
            |text| answers::name_servers(text).map(|servers| (text.to_owned(), servers)),
        )?;
        self.draft.name_servers = name_servers.0;
        let zones = self.zones.clone();
        let time_zone =
            self.question("Time zone", &draft.time_zone, |text| answers::time_zone(text, &zones))?;
        self.draft.time_zone.clone_from(&time_zone);
        let time_servers =
            self.question("Time servers, up to four, or automatic", &draft.time_servers, |text| {
                answers::time_servers(text).map(|servers| (text.to_owned(), servers))
            })?;
        self.draft.time_servers = time_servers.0;
        let password = self.password()?;
        let set_up = SetUp {
            host_name,
            domain,
            ipv4,
            ipv6,
            name_servers: name_servers.1,
            time_zone,
            time_servers: time_servers.1,
            password,
            ssh_keys: Vec::new(),
            trusted: Vec::new(),
        };
        print(summary(&set_up))?;
        let is_right =
            self.question("Set the appliance up like this? yes or no", "yes", |text| {
                answers::choice(&["yes", "no"], text)
            })?;
        if is_right == "no" {
            return Err(Leave::Again);
        }
        self.finish(set_up)
    }

    fn ipv4(&mut self, draft: &Draft) -> Asked<Ipv4Settings> {
        let how = self.question("IPv4: dhcp or static", &draft.ipv4, |text| {
            answers::choice(&["dhcp", "static"], text)
        })?;
        how.clone_into(&mut self.draft.ipv4);
        if how == "dhcp" {
            return Ok(Ipv4Settings::Dhcp);
        }
        let name = "IPv4 address and prefix length";
        let (address, prefix_length) = self.question(name, &draft.ipv4_address, answers::ipv4)?;
        self.draft.ipv4_address = format!("{address}/{prefix_length}");
        let gateway = self.question("IPv4 gateway, or none", &draft.ipv4_gateway, |text| {
            answers::ipv4_gateway(text, (address, prefix_length))
        })?;
        self.draft.ipv4_gateway = gateway.map_or_else(|| "none".to_owned(), |g| g.to_string());
        Ok(Ipv4Settings::Static { address, prefix_length, gateway })
    }

    fn ipv6(&mut self, draft: &Draft) -> Asked<Ipv6Settings> {
        let how = self.question("IPv6: automatic, static or off", &draft.ipv6, |text| {
            answers::choice(&["automatic", "static", "off"], text)
        })?;
        how.clone_into(&mut self.draft.ipv6);
        match how {
            "automatic" => return Ok(Ipv6Settings::Automatic),
            "off" => return Ok(Ipv6Settings::Off),
            _ => {}
        }
        let name = "IPv6 address and prefix length";
        let (address, prefix_length) = self.question(name, &draft.ipv6_address, answers::ipv6)?;
        self.draft.ipv6_address = format!("{address}/{prefix_length}");
        let gateway =
            self.question("IPv6 gateway, or none", &draft.ipv6_gateway, answers::ipv6_gateway)?;
        self.draft.ipv6_gateway = gateway.map_or_else(|| "none".to_owned(), |g| g.to_string());
        Ok(Ipv6Settings::Static { address, prefix_length, gateway })
    }

    /// Asks until there is an answer that can be.
    fn question<T>(
        &mut self,
        question: &str,
        default: &str,
        check: impl Fn(&str) -> Checked<T>,
    ) -> Asked<T> {
        let prompt = if default.is_empty() {
            format!("{question}: ")
        } else {
            format!("{question} [{}]: ", safe(default))
        };
        let shown =
            Reading { is_shown: true, is_fresh: false, limit: MAX_LINE_BYTES, silence: None };
        loop {
            let typed = ask(&prompt, shown, &mut |is_empty| self.look(is_empty, &prompt))?;
            let line = line_of(typed)?;
            let text = line.trim();
            let checked = if text.chars().any(char::is_control) {
                Err("There are characters in it that cannot be shown.".to_owned())
            } else {
                check(if text.is_empty() { default } else { text })
            };
            match checked {
                Ok(value) => return Ok(value),
                Err(why) => print([format!("  {}", safe(&why))])?,
            }
        }
    }

    fn password(&mut self) -> Asked<Secret> {
        let prompt = "Password of the account \"admin\", 8 characters or more: ";
        match new_password(prompt, &mut |is_empty| self.look(is_empty, prompt))? {
            Ok(password) => Ok(password),
            Err(typed) => Err(line_of(typed).err().unwrap_or(Leave::Again)),
        }
    }

    /// Whether there is still something to be asked. Tells of an answer file that cannot be
    /// followed where nothing stands behind the prompt.
    fn look(&mut self, is_empty: bool, prompt: &str) -> io::Result<bool> {
        let Ok(Answer::Platform(facts)) = self.session.ask_platform(&Request::ShowPlatform) else {
            return Ok(true);
        };
        if facts.is_set_up {
            return Ok(false);
        }
        if is_empty && facts.answer_file_fault.is_some() && facts.answer_file_fault != self.fault {
            let mut screen = io::stdout();
            writeln!(screen)?;
            self.tell_fault(facts.answer_file_fault).map_err(|stop| match stop {
                Stop::Failed(error) => error,
                Stop::Gone => io::ErrorKind::UnexpectedEof.into(),
            })?;
            write!(screen, "{prompt}")?;
            screen.flush()?;
        }
        Ok(true)
    }

    fn tell_fault(&mut self, fault: Option<String>) -> Step<()> {
        if let Some(fault) = &fault {
            print([format!("The answer file is not followed: {}", safe(fault))])?;
        }
        self.fault = fault;
        Ok(())
    }

    fn finish(&self, set_up: SetUp) -> Asked<()> {
        self.session.is_interrupted();
        match self.session.ask_platform(&Request::SetUp(Box::new(set_up))) {
            Ok(_) => Ok(()),
            Err(Failure::Ask(_, AskFailure::Refused(refusal)))
                if refusal.code == RefusalCode::AlreadySetUp =>
            {
                Err(Leave::SetUpElsewhere)
            }
            Err(failure) => {
                print(failure.lines())?;
                Err(Leave::Again)
            }
        }
    }
}

fn line_of(typed: Typed) -> Asked<zeroize::Zeroizing<String>> {
    match typed {
        Typed::Line(line) => Ok(line),
        Typed::GivenUp | Typed::Silence => Err(Leave::Again),
        Typed::Unwanted => Err(Leave::SetUpElsewhere),
        Typed::Gone => Err(Leave::Stop(Stop::Gone)),
    }
}

fn summary(set_up: &SetUp) -> Vec<String> {
    let with = |address: String, gateway: Option<String>| match gateway {
        Some(gateway) => format!("{address}, gateway {gateway}"),
        None => format!("{address}, no gateway"),
    };
    let ipv4 = match &set_up.ipv4 {
        Ipv4Settings::Dhcp => "by DHCP".to_owned(),
        Ipv4Settings::Static { address, prefix_length, gateway } => {
            with(format!("{address}/{prefix_length}"), gateway.map(|g| g.to_string()))
        }
    };
    let ipv6 = match &set_up.ipv6 {
        Ipv6Settings::Off => "off".to_owned(),
        Ipv6Settings::Automatic => "automatic".to_owned(),
        Ipv6Settings::Static { address, prefix_length, gateway } => {
            with(format!("{address}/{prefix_length}"), gateway.map(|g| g.to_string()))
        }
    };
    let list = |list: Vec<String>| {
        if list.is_empty() { "automatic".to_owned() } else { list.join(", ") }
    };
    let name_servers = set_up.name_servers.iter().map(ToString::to_string).collect();
    let fields = Fields::default()
        .add("Host name", &set_up.host_name)
        .add("SIP domain", &set_up.domain)
        .add("IPv4", ipv4)
        .add("IPv6", ipv6)
        .add("Name servers", list(name_servers))
        .add("Time zone", &set_up.time_zone)
        .add("Time servers", list(set_up.time_servers.clone()))
        .add("Password", "as typed");
    let mut lines = vec![String::new()];
    lines.extend(fields.lines().into_iter().map(|line| format!("  {line}")));
    lines.push(String::new());
    lines
}
