/** Finds the server to run: the one the user names, or the wheel this extension carries, in an environment of its own. */
import * as vscode from "vscode";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { createInterface } from "node:readline";

const { t } = vscode.l10n;
const PYTHON_MINOR_MIN = 11;
const PROBE_TIMEOUT_MS = 10_000;
const OUTPUT_TAIL_CHARS = 4_000;
const STALE_BUILD_MS = 60 * 60 * 1000;

/** How to run the server. `environment` is set when it is ours, so that it can be made again. */
export type Launch = { command: string; args: string[]; options: { cwd: string }; environment?: string };

/** Something only the user can mend; the message says how. */
export class SetupError extends Error {}

/** The user pressed Cancel. */
export class Cancelled extends Error {}

export async function locateServer(context: vscode.ExtensionContext, log: vscode.LogOutputChannel): Promise<Launch> {
  // The working directory is ours, never the workspace: nothing may be imported from there.
  const cwd = context.globalStorageUri.fsPath;
  fs.mkdirSync(cwd, { recursive: true, mode: 0o700 });
  const serverPath = machineSetting<string>("hearth.serverPath");
  if (serverPath && fs.existsSync(serverPath)) return { command: serverPath, args: ["serve"], options: { cwd } };
  if (serverPath) throw new SetupError(t("The file named by the setting hearth.serverPath does not exist: {0}", serverPath));
  const environment = await ensureEnvironment(context, cwd, log);
  return { command: pythonIn(environment), args: ["-I", "-X", "utf8", "-m", "hearth", "serve"], options: { cwd }, environment };
}

/** A setting's value from the user's machine scope; a workspace can never set what is read through this. */
export function machineSetting<T>(key: string, orDefault = false): T | undefined {
  const found = vscode.workspace.getConfiguration().inspect<T>(key);
  return found?.globalValue ?? (orDefault ? found?.defaultValue : undefined);
}

async function ensureEnvironment(context: vscode.ExtensionContext, storage: string, log: vscode.LogOutputChannel) {
  const payload = context.asAbsolutePath("server");
  const wheel = fs.existsSync(payload) ? fs.readdirSync(payload).find((name) => name.endsWith(".whl")) : undefined;
  if (!wheel) throw new SetupError(t("This build of the extension carries no server. Install the packaged .vsix, or set hearth.serverPath."));
  // What the cloud needs is large, and most do without.
  const needs = machineSetting<boolean>("hearth.cloud.enabled") ? "requirements-cloud.txt" : "requirements.txt";
  const parts = [path.join(payload, wheel), path.join(payload, needs)];
  const key = createHash("sha256").update(Buffer.concat(parts.map((part) => fs.readFileSync(part)))).digest("hex");
  const ready = path.join(storage, `server-${context.extension.packageJSON.version}-${key.slice(0, 12)}`);
  // A base Python that was removed leaves a dangling link behind: then the environment is made again.
  if (fs.existsSync(pythonIn(ready))) return ready;
  fs.rmSync(ready, { recursive: true, force: true });
  await vscode.window.withProgress(
    { location: vscode.ProgressLocation.Notification, title: t("Hearth: preparing the server"), cancellable: true },
    (progress, token) => build(ready, parts, log, (message) => progress.report({ message }), token),
  );
  // Environments of earlier versions, and drafts that a killed window left behind.
  for (const name of fs.readdirSync(storage)) {
    const other = path.join(storage, name);
    const stale = name.startsWith("server-") && other !== ready && Date.now() - fs.statSync(other).mtimeMs > STALE_BUILD_MS;
    if (stale) fs.rmSync(other, { recursive: true, force: true });
  }
  return ready;
}

/** Builds beside `ready` and renames last, so that `ready` is either whole or absent, also with two windows at work. */
async function build(ready: string, payload: string[], log: vscode.LogOutputChannel, report: (message: string) => void, token: vscode.CancellationToken) {
  const [draft, cwd] = [`${ready}.${process.pid}`, path.dirname(ready)];
  const pip = ["-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input"];
  const step = async (command: string, args: string[]) => {
    log.info(`${command} ${args.join(" ")}`);
    const { code, tail } = await run(command, args, cwd, token, (line) => {
      log.info(line);
      const what = /^(?:Collecting|Downloading) +([^ ;(]+)/.exec(line);
      if (what) report(path.basename(what[1]!));
    });
    if (code !== 0) throw new SetupError(t("The server's Python environment could not be prepared: {0}", lastLine(tail) || `${code}`));
  };
  try {
    await step(await findPython(cwd, token), ["-I", "-m", "venv", draft]);
    await step(pythonIn(draft), [...pip, "--only-binary", ":all:", "--require-hashes", "-r", payload[1]!]);
    await step(pythonIn(draft), [...pip, "--no-deps", "--no-index", payload[0]!]);
    if (!fs.existsSync(ready)) fs.renameSync(draft, ready);
  } finally {
    fs.rmSync(draft, { recursive: true, force: true });
  }
}

/** The first Python that is new enough and can make environments. */
async function findPython(cwd: string, token: vscode.CancellationToken): Promise<string> {
  const chosen = machineSetting<string>("hearth.pythonPath");
  const names = ["python3.14", "python3.13", "python3.12", "python3.11", "python3", "python"].map((name) => [name]);
  const candidates = chosen ? [[chosen]] : process.platform === "win32" ? [["py", "-3"], ["python"]] : names;
  const probe = "import sys, importlib.util as u; print(*sys.version_info[:2], int(bool(u.find_spec('ensurepip'))), sys.executable)";
  let withoutPip = "";
  for (const [command, ...args] of candidates) {
    const { code, tail } = await run(command!, [...args, "-I", "-c", probe], cwd, token, () => {}, PROBE_TIMEOUT_MS);
    const found = /^(\d+) (\d+) ([01]) (.+)$/.exec(lastLine(tail));
    if (code !== 0 || !found || found[1] !== "3" || Number(found[2]) < PYTHON_MINOR_MIN) continue;
    if (found[3] === "1") return found[4]!;
    withoutPip ||= found[4]!;
  }
  if (withoutPip) throw new SetupError(t("{0} cannot make environments. Install its venv module (on Debian and Ubuntu: the package python3-venv), then retry.", withoutPip));
  if (chosen) throw new SetupError(t("{0}, named by the setting hearth.pythonPath, is not a Python 3.11 or newer. Change or clear it, then retry.", chosen));
  throw new SetupError(t("Hearth needs Python 3.11 or newer, and none was found. Install Python, or name one in the setting hearth.pythonPath, then retry."));
}

/** Runs to the end. A command that cannot start ends with code -1 and the reason as its output. */
function run(command: string, args: string[], cwd: string, token: vscode.CancellationToken, onLine: (line: string) => void, timeout = 0) {
  return new Promise<{ code: number; tail: string }>((resolve, reject) => {
    let tail = "";
    const child = spawn(command, args, { cwd, stdio: ["ignore", "pipe", "pipe"], windowsHide: true, timeout });
    const cancel = token.onCancellationRequested(() => child.kill());
    const end = (code: number) => {
      cancel.dispose();
      if (token.isCancellationRequested) reject(new Cancelled());
      else resolve({ code, tail });
    };
    for (const input of [child.stdout, child.stderr]) {
      createInterface({ input }).on("line", (line) => {
        tail = `${tail}\n${line}`.slice(-OUTPUT_TAIL_CHARS);
        if (line.trim()) onLine(line.trim());
      });
    }
    child.on("error", (error) => ((tail = error.message), end(-1)));
    child.on("close", (code) => end(code ?? -1));
  });
}

export const lastLine = (text: string): string => text.trim().split(/\r?\n/).at(-1)!.trim();
const pythonIn = (environment: string): string =>
  path.join(environment, ...(process.platform === "win32" ? ["Scripts", "python.exe"] : ["bin", "python"]));
