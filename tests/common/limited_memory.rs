//! A test of this file, run by itself in a process with limited memory.

/// Address space of the process, kB; libtorch alone takes about two thirds.
const MOST_KILOBYTES: usize = 4_500_000;

/// Runs the ignored test `name` of this file in a process of its own and fails as it does.
pub fn run_ignored(name: &str) {
    let run = std::process::Command::new("sh")
        .args(["-c", &format!("ulimit -v {MOST_KILOBYTES}; exec \"$0\" --exact {name} --ignored --nocapture")])
        .arg(std::env::current_exe().unwrap())
        .env("OMP_NUM_THREADS", "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success() && text.contains("1 passed"), "{:?}\n{text}", run.status);
}
