//! The page of `ipcspec report --html`, opened from disk in Chromium. Without
//! Chromium and ChromeDriver every trial is ignored, and says so.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use fantoccini::key::Key;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use ipcspec_suite::report::{Run, Table, html};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use serde_json::{Value, json};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// ChromeDriver on a port of its own, and a directory with the pages; both are
/// gone at the end.
struct Driver {
    child: Child,
    address: String,
    directory: PathBuf,
}

impl Driver {
    /// What is not there, if something is not.
    fn start() -> Result<Self, String> {
        let find = |names: &[&str]| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let found = std::env::split_paths(&path)
                .flat_map(|directory| names.iter().map(move |name| directory.join(name)))
                .find(|file| file.is_file());
            found.ok_or_else(|| format!("no {} in PATH", names.join(" and no ")))
        };
        find(&["chromium", "chromium-browser", "google-chrome"])?;
        let mut child = Command::new(find(&["chromedriver"])?)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("chromedriver starts");
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        let port = out.lines().map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            Some(port.trim_end_matches('.').to_owned())
        });
        let port = port.expect("chromedriver says on which port it is");
        let directory = std::env::temp_dir().join(format!("ipcspec-page-{}", std::process::id()));
        std::fs::create_dir(&directory).expect("a directory for the pages");
        Ok(Self { child, address: format!("http://127.0.0.1:{port}"), directory })
    }

    /// A page of these streams; its address.
    fn page(&self, name: &str, streams: &[(String, String)]) -> String {
        let cases = ipcspec_cases::all();
        let directory = self.directory.join(name);
        std::fs::create_dir(&directory).expect("a directory for the page");
        let read = |(name, stream): &(String, String)| {
            let file = directory.join(format!("{name}.jsonl"));
            std::fs::write(&file, stream).expect("a stream");
            Run::read(&file.display().to_string()).map_err(|trouble| trouble.0).unwrap()
        };
        let runs: Vec<_> = streams.iter().map(read).collect();
        let file = directory.join("page.html");
        std::fs::write(&file, html(&Table::new(&cases, &runs))).expect("the page");
        address(&file)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn address(file: &Path) -> String {
    url::Url::from_file_path(file).expect("an absolute path").to_string()
}

/// What WebDriver leaves to its implementations.
#[derive(Debug)]
struct Post(&'static str, Value);

impl WebDriverCompatibleCommand for Post {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.0))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.1.to_string()))
    }
}

/// A page in a browser of its own.
struct Page(Client);

impl Page {
    async fn open(
        driver: &Driver,
        address: &str,
        width: u32,
        dark: bool,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ];
        let capabilities = json!({
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(capabilities) = capabilities else { unreachable!("an object") };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&driver.address)
            .await?;
        let page = Self(client);
        page.cdp(
            "Emulation.setDeviceMetricsOverride",
            json!({
                "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500,
            }),
        )
        .await?;
        let scheme =
            json!({ "name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" } });
        page.cdp("Emulation.setEmulatedMedia", json!({ "features": [scheme] })).await?;
        page.0.goto(address).await?;
        Ok(page)
    }

    async fn cdp(&self, command: &str, params: Value) -> Outcome {
        self.0
            .issue_cmd(Post("goog/cdp/execute", json!({ "cmd": command, "params": params })))
            .await?;
        Ok(())
    }

    /// What an expression gives once the page has drawn what was asked of it.
    async fn get(&self, expression: &str) -> Result<Value, Box<dyn std::error::Error>> {
        let script = format!(
            "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done({expression})))"
        );
        Ok(self.0.execute_async(&script, vec![]).await?)
    }

    async fn keys(&self, keys: &str) -> Outcome {
        Ok(self.0.active_element().await?.send_keys(keys).await?)
    }

    async fn key(&self, key: Key) -> Outcome {
        self.keys(&char::from(key).to_string()).await
    }

    async fn click(&self, selector: &str) -> Outcome {
        Ok(self.0.find(fantoccini::Locator::Css(selector)).await?.click().await?)
    }

    /// Names of the cases that can be seen as rows.
    async fn cases(&self) -> Result<Value, Box<dyn std::error::Error>> {
        self.get("[...document.querySelectorAll('tr.l3 .path')].map((it) => it.textContent)").await
    }

    /// Everything that the browser has to say against the page.
    async fn complaints(&self) -> Result<Value, Box<dyn std::error::Error>> {
        Ok(self.0.issue_cmd(Post("se/log", json!({ "type": "browser" }))).await?)
    }
}

/// Turns a difference into an error that tells both sides.
macro_rules! same {
    ($got:expr, $wanted:expr) => {{
        let (got, wanted) = ($got, json!($wanted));
        if got != wanted {
            return Err(format!("line {}: {got} instead of {wanted}", line!()).into());
        }
    }};
}

/// A stream in the compact form: of these cases, those that did not hold.
fn stream(
    release: &str,
    plan: &[String],
    others: &[(String, &str, Value)],
    complete: bool,
) -> String {
    let mut counts = json!({ "held": plan.len() - others.len(), "violated": 0, "absent": 0, "skipped": 0, "broken": 0 });
    let start = json!({
        "event": "start", "schema": 1, "suite": "0", "compact": true,
        "target": {
            "sysname": "Linux", "release": release, "version": "#1", "machine": "x86_64", "distribution": "none",
            "uid": 0, "gid": 0, "capabilities": [], "processors": 1, "sysctls": { "kernel/msgmax": "8192" },
        },
        "isolation": { "level": "full", "namespaces": ["pid"], "user_namespace": false, "refused": [] },
        "seed": 0, "jobs": 1, "timeout_factor": 1.0, "plan": plan,
    });
    let mut text = format!("{start}\n");
    for (name, verdict, more) in others {
        let mut case = json!({
            "event": "case", "name": name, "mechanism": name.split("::").next(), "verdict": verdict,
            "claim": format!("Of {name} nothing is <b>lost</b>."),
            "sources": [{ "page": "pipe.7", "section": "PIPE_BUF" }, { "page": "pipe.2", "section": "RETURN VALUE" }],
            "settles": [], "micros": 1,
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            case[key] = value.clone();
        }
        counts[verdict] = (counts[verdict].as_u64().unwrap_or(0) + 1).into();
        let _ = writeln!(text, "{case}");
    }
    if complete {
        let end = json!({
            "event": "end", "counts": counts, "not_run": 0, "unexpected": [], "stale": [], "micros": 1, "status": 0,
        });
        let _ = writeln!(text, "{end}");
    }
    text
}

/// Three targets, six cases.
fn small() -> Vec<(String, String)> {
    let plan: Vec<_> = [
        "pipe::ends::one_way",
        "pipe::ends::two_ways",
        "pipe::size::rounded",
        "pipe::size::kept",
        "sem::undo::rolled_back",
        "sem::undo::forgotten",
    ]
    .map(str::to_owned)
    .into();
    let failure = json!({
        "call": "read(&r, &mut buf)", "expected": "Ok(4)", "observed": "Err(EAGAIN)", "at": "cases/src/pipe.rs:9",
        "kernel": ["WARNING: CPU: 0 at fs/pipe.c:9"],
        "output": "</script><script>throw 'output was run'</script>\n<img src=x onerror=alert(1)>",
        "expectation": { "outcome": ["held", "violated"], "reason": "known since 5.10", "reference": "https://example.org/5" },
    });
    let all = |verdict: &'static str| -> Vec<(String, &str, Value)> {
        let told = |name: &String| match verdict {
            "violated" => (name.clone(), verdict, failure.clone()),
            _ => (name.clone(), verdict, json!({ "missing": ["root"] })),
        };
        plan.iter().map(told).collect()
    };
    let violated = all("violated");
    let absent = all("absent");
    let skipped = all("skipped");
    let killed = all("killed");
    [
        ("old", vec![violated[0].clone(), violated[4].clone()], true),
        ("new", vec![violated[0].clone(), skipped[3].clone()], true),
        ("other", vec![violated[0].clone(), absent[2].clone(), killed[5].clone()], false),
    ]
    .into_iter()
    .map(|(name, others, complete)| (name.to_owned(), stream(name, &plan, &others, complete)))
    .collect()
}

/// Twenty targets and three thousand cases, of which each fails somewhere.
fn large() -> Vec<(String, String)> {
    let plan: Vec<_> = (0..3000).map(|n| format!("m{}::f{}::case_{n}", n / 300, n / 30)).collect();
    (0..20)
        .map(|target| {
            let others: Vec<_> = (target..3000)
                .step_by(20)
                .map(|n| (plan[n].clone(), "violated", json!({ "observed": format!("{n}") })))
                .collect();
            (format!("target-{target}"), stream("1", &plan, &others, true))
        })
        .collect()
}

/// Nothing is asked of the network, and nothing in the data becomes an element.
async fn opens_from_disk(driver: &Driver, pages: &Pages) -> Outcome {
    let page = Page::open(driver, &pages.small, 1280, false).await?;
    same!(page.get("document.title").await?, "ipcspec: 6 behaviours on 3 targets");
    same!(page.get("performance.getEntriesByType('resource').length").await?, 0);
    same!(page.get("document.querySelectorAll('script, img').length").await?, 2);
    same!(
        page.get("[...document.querySelectorAll('thead button')].map((it) => it.textContent)")
            .await?,
        ["old", "new", "other! incomplete"]
    );
    same!(page.get("[...document.querySelectorAll('tr.l1')].map((it) => [...it.querySelectorAll('td .hide')].map((td) => td.textContent))").await?,
        [["3 held, 1 violated", "2 held, 1 violated, 1 skipped", "2 held, 1 violated, 1 absent"],
         ["1 held, 1 violated", "2 held", "1 held, 1 killed"]]);
    same!(page.complaints().await?, Value::Array(vec![]));
    Ok(page.0.close().await?)
}

async fn filters_and_counts_what_is_left(driver: &Driver, pages: &Pages) -> Outcome {
    let page = Page::open(driver, &pages.small, 1280, false).await?;
    page.keys("/").await?;
    same!(page.get("document.activeElement.id").await?, "q");
    page.keys("rolled").await?;
    same!(page.cases().await?, ["rolled_back"]);
    same!(
        page.get("document.getElementById('status').textContent").await?,
        "1 of 6 cases, 3 targets"
    );
    page.key(Key::Escape).await?;
    page.keys("known since").await?;
    same!(page.cases().await?, ["one_way", "rolled_back"]);
    page.keys(" nowhere").await?;
    same!(page.get("document.querySelector('#empty h2').textContent").await?, "No case matches");
    page.click("#empty button").await?;
    same!(page.get("location.hash").await?, "");
    page.click("#chips button[data-v='2']").await?;
    same!(page.cases().await?, ["rounded"]);
    page.click("#chips button[data-v='3']").await?;
    same!(page.cases().await?, ["rounded", "kept"]);
    same!(page.get("location.hash").await?, "#v=absent,skipped");
    page.click("#mechanism option[value='sem']").await?;
    same!(page.cases().await?, json!([]));
    same!(page.complaints().await?, Value::Array(vec![]));
    Ok(page.0.close().await?)
}

async fn drills_down_to_the_failure(driver: &Driver, pages: &Pages) -> Outcome {
    let page = Page::open(driver, &pages.small, 1280, false).await?;
    page.click("tr.l1 th").await?;
    page.click("tr.l2 th").await?;
    same!(page.cases().await?, ["one_way", "two_ways"]);
    page.click("tr.l3 td[data-place='1']").await?;
    same!(
        page.get("document.getElementById('panel-title').textContent").await?,
        "Of pipe::ends::one_way nothing is <b>lost</b>."
    );
    same!(
        page.get("[...document.querySelectorAll('#panel .sources a')].map((it) => it.href)")
            .await?,
        [
            "https://man7.org/linux/man-pages/man7/pipe.7.html",
            "https://man7.org/linux/man-pages/man2/pipe.2.html#RETURN_VALUE",
        ]
    );
    same!(
        page.get("[...document.querySelectorAll('.result dt')].map((it) => it.textContent)")
            .await?,
        [
            "call",
            "wanted",
            "got",
            "at",
            "kernel",
            "output",
            "expected",
            "reason",
            "reference",
            "reproduce"
        ]
    );
    let expected =
        "[...document.querySelectorAll('.result dt')].find((it) => it.textContent === 'expected')";
    same!(page.get(&format!("{expected}.nextElementSibling.textContent")).await?, "held\nviolated");
    same!(
        page.get("document.querySelector('.result pre[aria-label=output]').textContent").await?,
        "</script><script>throw 'output was run'</script>\n<img src=x onerror=alert(1)>"
    );
    same!(
        page.get(
            "[...document.querySelectorAll('.result .copy code')].map((it) => it.textContent)"
        )
        .await?,
        ["ipcspec run pipe::ends::one_way", "ipcspec-lab run new -- pipe::ends::one_way"]
    );
    same!(page.get("document.querySelector('.result dd a').href").await?, "https://example.org/5");
    // The same view again, from its address alone.
    let there = page.get("location.href").await?;
    page.0.goto("about:blank").await?;
    page.0.goto(there.as_str().unwrap_or_default()).await?;
    same!(page.get("document.querySelector('.crumbs').textContent").await?, "pipe::ends::one_way");
    same!(page.cases().await?, ["one_way", "two_ways"]);
    page.click("thead th:last-child button").await?;
    same!(
        page.get("document.querySelector('#panel .warn').textContent.slice(0, 30)").await?,
        "! This run is incomplete: it h"
    );
    same!(page.complaints().await?, Value::Array(vec![]));
    Ok(page.0.close().await?)
}

async fn shows_differences_and_changes(driver: &Driver, pages: &Pages) -> Outcome {
    let page = Page::open(driver, &pages.small, 1280, false).await?;
    page.click("#views button[data-view='differences']").await?;
    same!(page.cases().await?, ["rounded", "rolled_back", "forgotten"]);
    page.click("#views button[data-view='changes']").await?;
    same!(page.cases().await?, ["rounded", "rolled_back", "forgotten"]);
    same!(page.get("[...document.querySelectorAll('td.changed')].map((it) => [Number(it.dataset.place), it.innerText])").await?,
        [json!([2, "○ absent\nwas held"]), json!([1, "✓ held\nwas violated"]), json!([2, "† killed\nwas held"])]);
    page.click("#views button[data-view='unexplained']").await?;
    same!(page.cases().await?, ["rounded", "forgotten"]);
    page.click("#views button[data-view='changes']").await?;
    page.click("#columns summary").await?;
    page.click("#columns input[value='old']").await?;
    same!(page.cases().await?, ["rounded", "forgotten"]);
    page.click("#columns input[value='other']").await?;
    same!(page.get("document.querySelector('#empty h2').textContent").await?, "Nothing to compare");
    same!(page.complaints().await?, Value::Array(vec![]));
    Ok(page.0.close().await?)
}

async fn is_used_by_keyboard_alone(driver: &Driver, pages: &Pages) -> Outcome {
    let page = Page::open(driver, &pages.small, 1280, false).await?;
    let row = "[document.activeElement.className, document.activeElement.querySelector('.head')?.innerText.split('\\n')[0]]";
    page.keys("/").await?;
    page.key(Key::Down).await?;
    same!(page.get(row).await?, ["l0", "All mechanisms"]);
    page.key(Key::Down).await?;
    page.key(Key::Right).await?;
    same!(page.get("document.activeElement.getAttribute('aria-expanded')").await?, "true");
    page.key(Key::Right).await?;
    page.key(Key::Right).await?;
    page.key(Key::Down).await?;
    same!(page.get("document.activeElement.querySelector('.path').textContent").await?, "one_way");
    same!(
        page.get("getComputedStyle(document.activeElement.firstChild).boxShadow !== 'none'")
            .await?,
        true
    );
    page.key(Key::Enter).await?;
    same!(page.get("document.activeElement.id").await?, "panel-title");
    page.key(Key::Escape).await?;
    same!(page.get("document.getElementById('panel').hidden").await?, true);
    same!(page.get("document.activeElement.querySelector('.path').textContent").await?, "one_way");
    page.key(Key::Left).await?;
    same!(page.get("document.activeElement.className").await?, "l2");
    page.key(Key::Left).await?;
    page.key(Key::End).await?;
    same!(
        page.get("document.activeElement.querySelector('.head span + span').textContent").await?,
        "sem"
    );
    same!(page.get("document.querySelectorAll('tbody tr[tabindex=\"0\"]').length").await?, 1);
    same!(page.complaints().await?, Value::Array(vec![]));
    Ok(page.0.close().await?)
}

async fn fits_a_phone(driver: &Driver, pages: &Pages) -> Outcome {
    for address in [&pages.small, &pages.large] {
        let page = Page::open(driver, address, 360, false).await?;
        let wide = "[innerWidth, document.documentElement.scrollWidth, document.body.scrollWidth]";
        same!(page.get(wide).await?, [360, 360, 360]);
        page.click("tr.l1 th").await?;
        page.click("tr.l2 th").await?;
        page.click("tr.l3 th").await?;
        same!(page.get(wide).await?, [360, 360, 360]);
        same!(page.get("document.getElementById('panel').offsetWidth").await?, 360);
        same!(page.get("document.getElementById('main').inert").await?, true);
        page.click(".close").await?;
        same!(page.get("document.getElementById('main').inert").await?, false);
        same!(page.complaints().await?, Value::Array(vec![]));
        page.0.close().await?;
    }
    Ok(())
}

async fn is_light_and_dark(driver: &Driver, pages: &Pages) -> Outcome {
    let paper = "getComputedStyle(document.body).backgroundColor";
    let (light, dark) = ("rgb(250, 249, 246)", "rgb(20, 22, 26)");
    let page = Page::open(driver, &pages.small, 1280, true).await?;
    same!(page.get(paper).await?, dark);
    page.click("#theme").await?;
    same!(page.get(paper).await?, light);
    same!(page.get("document.getElementById('theme').textContent").await?, "Theme: light");
    same!(page.get("localStorage.getItem('theme')").await?, "light");
    page.0.close().await?;
    let page = Page::open(driver, &pages.small, 1280, false).await?;
    same!(page.get(paper).await?, light);
    page.click("#theme").await?;
    page.click("#theme").await?;
    same!(page.get(paper).await?, dark);
    Ok(page.0.close().await?)
}

/// Text on what is behind it, by the formula of WCAG 2: 4.5 at least.
async fn contrasts_enough(driver: &Driver, pages: &Pages) -> Outcome {
    const CONTRAST: &str = r"(() => {
        const context = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
        const over = (colours) => {
            for (const colour of colours) { context.fillStyle = colour; context.fillRect(0, 0, 1, 1); }
            return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
        };
        const luminance = (rgb) => rgb.map((it) => it / 255)
            .map((it) => (it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4))
            .reduce((sum, it, i) => sum + it * [0.2126, 0.7152, 0.0722][i], 0);
        const faults = [];
        for (const it of document.querySelectorAll('body *')) {
            if (![...it.childNodes].some((node) => node.nodeType === 3 && node.data.trim()) || !it.checkVisibility() || it.closest('.hide, script, noscript')) continue;
            const behind = [];
            for (let at = it; at; at = at.parentElement) {
                const style = getComputedStyle(at);
                const image = style.backgroundImage.match(/linear-gradient\((?:oklab|color)\([^)]*\)/g);
                behind.unshift(style.backgroundColor, ...(image || []).map((text) => text.slice(16)));
            }
            const paper = getComputedStyle(document.body).backgroundColor;
            const [back, front] = [over([paper, ...behind]), over([paper, ...behind, getComputedStyle(it).color])].map(luminance);
            const ratio = (Math.max(back, front) + 0.05) / (Math.min(back, front) + 0.05);
            if (ratio < 4.5) faults.push(it.className + ' ' + it.textContent + ' ' + ratio.toFixed(2));
        }
        return faults;
    })()";
    for dark in [false, true] {
        let page = Page::open(
            driver,
            &format!("{}#view=changes&case=pipe::ends::one_way&on=old", pages.small),
            1280,
            dark,
        )
        .await?;
        same!(page.get(CONTRAST).await?, json!([]));
        page.0.close().await?;
    }
    Ok(())
}

/// Three thousand rows by twenty targets, and only what can be seen is made.
async fn many_cases_are_few_elements(driver: &Driver, pages: &Pages) -> Outcome {
    const MOST: u64 = 4000;
    let page =
        Page::open(driver, &format!("{}#view=differences", pages.large), 1920, false).await?;
    let elements = "document.querySelectorAll('*').length";
    same!(page.get("document.getElementById('grid').getAttribute('aria-rowcount')").await?, "3112");
    for part in ["0", "0.3", "0.5", "0.99", "1"] {
        page.get(&format!("(() => {{ const it = document.getElementById('scroll'); it.scrollTop = it.scrollHeight * {part}; }})()")).await?;
        let count = page.get(elements).await?;
        if count.as_u64().is_none_or(|count| count > MOST) {
            return Err(format!("{count} elements at {part} of the height").into());
        }
    }
    same!(
        page.get("[...document.querySelectorAll('tr.l3 .path')].at(-1).textContent").await?,
        "case_2999"
    );
    page.keys("/").await?;
    page.keys("case_1234").await?;
    same!(page.cases().await?, ["case_1234"]);
    // The panel leaves the cell in sight that it was opened from.
    page.click("tr.l3 td[data-place='13']").await?;
    same!(page.get("document.querySelector('td.chosen').getBoundingClientRect().right <= document.getElementById('panel').offsetLeft").await?, true);
    same!(page.complaints().await?, Value::Array(vec![]));
    Ok(page.0.close().await?)
}

struct Pages {
    small: String,
    large: String,
}

fn main() -> std::process::ExitCode {
    let arguments = Arguments::from_args();
    let driver = Arc::new(Driver::start().map(|driver| {
        let pages =
            Pages { small: driver.page("small", &small()), large: driver.page("large", &large()) };
        (driver, pages)
    }));
    let mut trials = vec![];
    macro_rules! trial {
        ($($name:ident)*) => {$(
            let with = Arc::clone(&driver);
            trials.push(Trial::ignorable_test(stringify!($name), move || match &*with {
                Ok((driver, pages)) => tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .map_err(Failed::from)?
                    .block_on($name(driver, pages))
                    .map(|()| Completion::Completed)
                    .map_err(|error| Failed::from(error.to_string())),
                Err(missing) => Ok(Completion::ignored_with(missing)),
            }));
        )*};
    }
    trial!(
        opens_from_disk filters_and_counts_what_is_left drills_down_to_the_failure shows_differences_and_changes
        is_used_by_keyboard_alone fits_a_phone is_light_and_dark contrasts_enough many_cases_are_few_elements
    );
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(driver);
    conclusion.exit_code()
}
