/** The thin client: starts the server, shows its state, and passes on what only an editor can do. */
import * as fs from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import * as vscode from "vscode";
import { CloseAction, ErrorAction, InlineCompletionRequest, LanguageClient, MessageType, RevealOutputChannelOn, ShowMessageRequest, State, type ShowDocumentParams } from "vscode-languageclient/node";
import { Cancelled, SetupError, lastLine, locateServer, machineSetting, type Launch } from "./environment";

const { t } = vscode.l10n;
const CRASHES_MAX = 5;
const CRASH_WINDOW_MS = 3 * 60 * 1000;
const BACK_OFF_MS = [1_000, 2_000, 4_000, 8_000];
const STATUS_EVERY_MS = 10_000;
const SETTLE_MS = 1_000;
const STOP_TIMEOUT_MS = 2_000;
const STDERR_TAIL_CHARS = 2_000;
const LAST_WORD_MS = 1_000;
const DIAGNOSTICS_MAX = 100;
const DIAGNOSTIC_CHARS_MAX = 300;
const LIVE_SETTINGS = ["hearth.completion.enabled", "hearth.completion.languages_off"];
const CLIENT_SETTINGS = ["hearth.pythonPath", "hearth.serverPath"];
const ICONS = { starting: "loading~spin", ready: "flame", off: "circle-slash", error: "error" };

type Input = vscode.InputBoxOptions & { placeholder?: string; items?: (vscode.QuickPickItem & { value: string })[] };
type Result = { copy?: string; document?: string } | null | undefined;
type Status = { completion?: { enabled?: boolean; backend?: string; model?: string }; backends?: { state?: string }[] };

let server: Server | undefined;

export function activate(context: vscode.ExtensionContext): void {
  const running = (server = new Server(context));
  context.subscriptions.push(
    vscode.commands.registerCommand("hearth.menu", () => running.menu()),
    vscode.commands.registerCommand("hearth.restart", () => running.restart()),
    vscode.commands.registerCommand("hearth.showLog", () => running.log.show()),
    vscode.workspace.onDidGrantWorkspaceTrust(() => running.notify("hearth/didGrantTrust", {})),
    vscode.workspace.onDidChangeConfiguration((event) => running.settingsChanged(event)),
    vscode.workspace.onDidOpenTextDocument((document) => running.diagnosed([document.uri])),
    vscode.languages.onDidChangeDiagnostics((event) => running.diagnosed(event.uris)),
    vscode.window.onDidChangeActiveTextEditor(() => running.notify("hearth/focus", activePlace())),
  );
  void running.start();
}

export const deactivate = (): Promise<void> | undefined => server?.stop();

class Server {
  readonly log = vscode.window.createOutputChannel("Hearth", { log: true });
  private readonly item = vscode.window.createStatusBarItem("hearth.status", vscode.StatusBarAlignment.Right, 100);
  private readonly poll = setInterval(() => vscode.window.state.focused && void this.refresh(), STATUS_EVERY_MS);
  private client: LanguageClient | undefined;
  private environment: string | undefined;
  private crashes: number[] = [];
  private timer: NodeJS.Timeout | undefined;
  private settling: NodeJS.Timeout | undefined;
  private readonly diagnosedUris = new Set<string>();
  private stderr = "";
  private silent: Promise<unknown> = Promise.resolve();
  // Counts starts and stops: whatever finishes late sees that it is no longer wanted.
  private generation = 0;

  constructor(private readonly context: vscode.ExtensionContext) {
    Object.assign(this.item, { name: "Hearth", command: "hearth.menu" });
    context.subscriptions.push(this.item, this.log, { dispose: () => clearInterval(this.poll) });
  }

  /** Brings the server up. Every failure ends in one message that says what to do. */
  async start(): Promise<void> {
    const generation = ++this.generation;
    this.show("starting", t("Hearth is starting"));
    try {
      const launch = await locateServer(this.context, this.log);
      if (generation !== this.generation) return;
      this.environment = launch.environment;
      this.stderr = "";
      this.client = this.makeClient(launch, generation);
      await this.client.start();
      if (generation !== this.generation) return;
      this.show("ready", "Hearth");
      this.notify("hearth/focus", activePlace());
      this.diagnosed(vscode.workspace.textDocuments.map((document) => document.uri));
      await this.refresh();
    } catch (error) {
      if (generation === this.generation) await this.failed(error);
    }
  }

  async stop(): Promise<void> {
    this.generation++;
    clearTimeout(this.timer);
    const client = this.client;
    this.client = undefined;
    // A client that never came up refuses to stop; there is nothing left of it then.
    await client?.dispose(STOP_TIMEOUT_MS).catch((error) => this.log.debug(String(error)));
  }

  async restart(): Promise<void> {
    this.crashes = [];
    await this.stop();
    await this.start();
  }

  notify(method: string, params: object): void {
    if (this.client?.isRunning()) void this.client.sendNotification(method, params);
  }

  /** Passes on, once they rest, other tools' errors and warnings in open documents: a server hears of none itself. */
  diagnosed(uris: readonly vscode.Uri[]): void {
    uris.forEach((uri) => this.diagnosedUris.add(String(uri)));
    clearTimeout(this.settling);
    this.settling = setTimeout(() => {
      for (const { uri } of vscode.workspace.textDocuments.filter((open) => this.diagnosedUris.has(String(open.uri)))) {
        const diagnostics = vscode.languages.getDiagnostics(uri).filter(worthPassingOn).slice(0, DIAGNOSTICS_MAX).map(plain);
        this.notify("hearth/diagnostics", { uri: String(uri), diagnostics });
      }
      this.diagnosedUris.clear();
    }, SETTLE_MS);
  }

  settingsChanged(event: vscode.ConfigurationChangeEvent): void {
    const changed = (key: string) => event.affectsConfiguration(key);
    if (LIVE_SETTINGS.some(changed)) {
      const [enabled, languages_off] = LIVE_SETTINGS.map((key) => machineSetting(key, changed(key)));
      this.notify("workspace/didChangeConfiguration", { settings: { completion: { enabled, languages_off } } });
      void this.refresh();
    }
    if ([...this.settingKeys(), ...CLIENT_SETTINGS].some((key) => !LIVE_SETTINGS.includes(key) && changed(key))) {
      // The settings page writes at every key: wait until the user has finished typing.
      clearTimeout(this.timer);
      this.timer = setTimeout(() => void this.restart(), SETTLE_MS);
    }
  }

  async menu(): Promise<void> {
    const all = [
      { label: `$(comment-discussion) ${t("Ask")}`, command: "hearth.ask" },
      { label: `$(pulse) ${t("Status")}`, command: "hearth.status" },
      { label: `$(shield) ${t("What left this machine")}`, command: "hearth.showEgress" },
      { label: `$(question) ${t("Why is there no suggestion?")}`, command: "hearth.whyNoSuggestion" },
      { label: `$(circle-slash) ${t("Turn suggestions on or off")}`, command: "hearth.toggleCompletion" },
      { label: `$(refresh) ${t("Restart the server")}`, command: "hearth.restart" },
      { label: `$(output) ${t("Show the log")}`, command: "hearth.showLog" },
    ];
    const picked = await vscode.window.showQuickPick(this.client?.isRunning() ? all : all.slice(-2), { title: "Hearth", placeHolder: String(this.item.tooltip) });
    if (picked) await vscode.commands.executeCommand(picked.command);
    await this.refresh();
  }

  private makeClient(launch: Launch, generation: number): LanguageClient {
    const readLog = (stream: NodeJS.ReadableStream) => {
      this.silent = new Promise((resolve) => stream.once("close", resolve));
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.stderr = (this.stderr + text).slice(-STDERR_TAIL_CHARS);
        this.log.append(text);
      });
    };
    const client: LanguageClient = new LanguageClient("hearth", "Hearth", launch, {
      documentSelector: [{ scheme: "file" }, { scheme: "untitled" }, { notebook: "*" }],
      outputChannel: this.log,
      revealOutputChannelOn: RevealOutputChannelOn.Never,
      initializationOptions: () => ({ ...this.machineSettings(), workspace_trusted: vscode.workspace.isTrusted }),
      markdown: { isTrusted: false, supportHtml: false },
      initializationFailedHandler: () => false,
      stdioOptions: { stdout: () => {}, stderr: readLog },
      errorHandler: {
        error: () => ({ action: ErrorAction.Continue, handled: true }),
        closed: () => {
          // A close during the start is reported by start() itself.
          if (generation === this.generation && client.state === State.Running) void this.crashed();
          return { action: CloseAction.DoNotRestart, handled: true };
        },
      },
      middleware: {
        // Suggestions are asked for at the first of several cursors, and nothing in the request tells.
        sendRequest: (type, params, token, next) =>
          next(type, type === InlineCompletionRequest.type ? { ...params!, cursors: vscode.window.activeTextEditor?.selections.length } : params, token),
        // From a menu the first argument is the file's address; whatever is chosen, the server wants the place in it.
        executeCommand: (command, args, next) =>
          (next(command, args.length && !(args[0] instanceof vscode.Uri) ? args : [activePlace()]) as Promise<Result>).then(carriedOut, explained),
        window: { showDocument: (page, token, next) => (page.uri.startsWith("hearth:") ? showPage(page, client.protocol2CodeConverter.asRange(page.selection)) : next(page, token)) },
      },
    });
    // What the library would show in pop-ups of its own is logged: the user gets one readable message from us instead.
    client.error = (message, data) => LanguageClient.prototype.error.call(client, message, data, false);
    // A question that warns is a dialog: a message fades away, and cuts long buttons short.
    client.onRequest(ShowMessageRequest.type, ({ type, message, actions = [] }) => {
      const [head, ...detail] = message.split("\n");
      if (type !== MessageType.Warning) return vscode.window.showInformationMessage(message, ...actions);
      return vscode.window.showWarningMessage(head!, { modal: true, detail: detail.join("\n") }, ...actions);
    });
    client.onRequest("hearth/input", async ({ items, ...asked }: Input, token) => {
      const options = { ...asked, placeHolder: asked.placeholder || asked.prompt, ignoreFocusOut: true, matchOnDescription: true };
      const given = items ? (await vscode.window.showQuickPick(items, options, token))?.value : await vscode.window.showInputBox(options, token);
      return { value: given ?? null };
    });
    return client;
  }

  /** A server that had been running is gone: start it again, later each time, and give up at the fifth. */
  private async crashed(): Promise<void> {
    this.crashes = [...this.crashes.filter((time) => Date.now() - time < CRASH_WINDOW_MS), Date.now()];
    const count = this.crashes.length;
    const gaveUp = t("Hearth's server stopped {0} times within three minutes and stays off. The log says why.", count);
    if (count >= CRASHES_MAX) return this.failed(new SetupError(gaveUp));
    this.show("starting", t("Hearth's server stopped and is being started again"));
    this.timer = setTimeout(() => void this.start(), BACK_OFF_MS[count - 1]);
  }

  private async failed(error: unknown): Promise<void> {
    await this.stop();
    if (error instanceof Cancelled) return this.show("error", t("Hearth is not set up yet. Choose Restart to go on."));
    // The server's own last word says more than "connection closed", and may come later.
    await Promise.race([this.silent, delay(LAST_WORD_MS)]);
    const reason = lastLine(this.stderr) || (error instanceof Error ? error.message : String(error));
    const mendable = error instanceof SetupError;
    const message = mendable ? error.message : t("Hearth's server could not start: {0}", reason);
    this.log.error(message);
    this.show("error", message);
    const picked = await vscode.window.showErrorMessage(message, t("Retry"), t("Show Log"));
    if (picked === t("Show Log")) this.log.show();
    if (picked !== t("Retry")) return;
    // An environment of ours whose server does not come up is made again.
    if (!mendable && this.environment) fs.rmSync(this.environment, { recursive: true, force: true });
    await this.restart();
  }

  /** Asks the server which model answers. */
  private async refresh(): Promise<void> {
    const client = this.client;
    if (!client?.isRunning()) return;
    const status = await client.sendRequest<Status>("hearth/status", {}).catch((error) => this.log.debug(String(error)));
    if (status && client === this.client) this.show(...describe(status));
  }

  private show(phase: keyof typeof ICONS, tooltip: string, label = "Hearth"): void {
    this.item.text = `$(${ICONS[phase]}) ${label}`;
    this.item.tooltip = tooltip;
    this.item.backgroundColor = phase === "error" ? new vscode.ThemeColor("statusBarItem.errorBackground") : undefined;
    this.item.show();
    // The palette offers the server's commands only while it is there to run them.
    void vscode.commands.executeCommand("setContext", "hearth.running", phase === "ready" || phase === "off");
  }

  private settingKeys(): string[] {
    return Object.keys(this.context.extension.packageJSON.contributes.configuration.properties).filter((key) => !CLIENT_SETTINGS.includes(key));
  }

  /** The machine-scope settings in the shape of settings.toml; what the user left alone is left out. */
  private machineSettings(): Record<string, unknown> {
    const settings: Record<string, any> = {};
    for (const key of this.settingKeys()) {
      const value = machineSetting(key);
      const [, section, name] = key.split(".");
      if (value === undefined || !section) continue;
      if (name) (settings[section] ??= {})[name] = value;
      else settings[section] = value;
    }
    return settings;
  }
}

/** The status bar's state, tooltip and label. */
function describe({ completion, backends = [] }: Status): [keyof typeof ICONS, string, string?] {
  if (completion?.enabled === false) return ["off", t("Hearth: suggestions are off")];
  const name = completion?.model?.split(/[\\/]/).at(-1);
  if (name) return ["ready", t("Hearth: {0} answers ({1})", name, completion?.backend ?? ""), name];
  if (backends.some((backend) => backend.state === "loading")) return ["ready", t("Hearth: the model is loading"), t("loading…")];
  return ["ready", t("Hearth: no model server answers; suggestions are copied from your own files"), t("from your files")];
}

/** The server's own pages are Markdown to be read, shown rendered; but those with lenses or links of their own are text, as only text can have them. */
async function showPage(page: ShowDocumentParams, selection?: vscode.Range): Promise<{ success: boolean }> {
  const [uri, focus] = [vscode.Uri.parse(page.uri), page.takeFocus];
  const beside = vscode.window.visibleTextEditors.find((editor) => editor.document.uri.scheme === "hearth")?.viewColumn ?? vscode.ViewColumn.Beside;
  if (!/^hearth:\/(chat|egress|task)/.test(page.uri)) await vscode.commands.executeCommand("markdown.showPreview", uri);
  else await vscode.window.showTextDocument(uri, { viewColumn: focus ? vscode.ViewColumn.Active : beside, preserveFocus: !focus, selection });
  return { success: true };
}

/** What a command's result asks an editor to do: text for the clipboard, or for a new document. */
async function carriedOut(result: Result): Promise<Result> {
  if (result?.copy) await vscode.env.clipboard.writeText(result.copy);
  if (result?.document) await vscode.window.showTextDocument(await vscode.workspace.openTextDocument({ language: "markdown", content: result.document }));
  return result;
}

/** A command that could not do its work says why: in a message, as the editor itself would make a dialog of it. */
const explained = (error: Error) => void (error instanceof vscode.CancellationError || vscode.window.showWarningMessage(error.message));

const worthPassingOn = ({ severity, source }: vscode.Diagnostic) => severity <= vscode.DiagnosticSeverity.Warning && source !== "Hearth";
const bare = ({ start, end }: vscode.Range) => ({ start, end });
const plain = ({ range, severity, message }: vscode.Diagnostic) =>
  ({ range: bare(range), severity: severity + 1, message: message.slice(0, DIAGNOSTIC_CHARS_MAX) });

/** Where the user is, in the active editor: what a command without arguments is about. */
const activePlace = (editor = vscode.window.activeTextEditor): object =>
  editor ? { uri: String(editor.document.uri), selection: bare(editor.selection) } : {};
