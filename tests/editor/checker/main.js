// Says of each name that begins with `undefined_` in a Python document that it is not defined, at every change.
const vscode = require("vscode");

exports.activate = (context) => {
  const found = vscode.languages.createDiagnosticCollection("checker");
  const look = (document) => {
    if (document.languageId !== "python") return;
    const names = [...document.getText().matchAll(/\bundefined_\w+/g)];
    const place = ({ index, 0: name }) => new vscode.Range(document.positionAt(index), document.positionAt(index + name.length));
    found.set(document.uri, names.map((name) => new vscode.Diagnostic(place(name), `"${name[0]}" is not defined`)));
  };
  vscode.workspace.textDocuments.forEach(look);
  context.subscriptions.push(found, vscode.workspace.onDidOpenTextDocument(look), vscode.workspace.onDidChangeTextDocument(({ document }) => look(document)));
};
