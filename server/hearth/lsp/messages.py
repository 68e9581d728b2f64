"""The server's own few sentences, in the languages of the editor. Everything else it shows comes from the engine."""

from hearth.lsp.messages_pages import WORDS

LANGUAGES = ("en", "fr", "es")

# fmt: off
MESSAGES: dict[str, dict[str, str]] = {
    "settings": {
        "en": "Hearth did not use some settings:",
        "fr": "Hearth n'a pas utilisé certains réglages :",
        "es": "Hearth no ha usado algunos ajustes:",
    },
    "more": {
        "en": "and {count} more, see the log.",
        "fr": "et {count} autres, voir le journal.",
        "es": "y {count} más, consulte el registro.",
    },
    "engine_failed": {
        "en": "Hearth could not start its engine, so nothing is suggested. Your editor is not affected; see {log}.",
        "fr": "Hearth n'a pas pu démarrer son moteur : aucune suggestion. L'éditeur n'est pas touché ; voir {log}.",
        "es": "Hearth no pudo iniciar su motor: no habrá sugerencias. El editor no se ve afectado; vea {log}.",
    },
    "completion_on": {
        "en": "Hearth: suggestions are on.",
        "fr": "Hearth : les suggestions sont activées.",
        "es": "Hearth: las sugerencias están activadas.",
    },
    "completion_off": {
        "en": "Hearth: suggestions are off.",
        "fr": "Hearth : les suggestions sont désactivées.",
        "es": "Hearth: las sugerencias están desactivadas.",
    },
    "why_documents": {
        "en": "Documents in which nothing is suggested",
        "fr": "Documents sans suggestions",
        "es": "Documentos sin sugerencias",
    },
    "why_nothing": {
        "en": "Nothing was asked yet. Type in a file, then look here again.",
        "fr": "Rien n'a encore été demandé. Tapez dans un fichier, puis revenez ici.",
        "es": "Todavía no se ha pedido nada. Escriba en un archivo y vuelva aquí.",
    },
    "too_large": {
        "en": "larger than {limit} million characters",
        "fr": "plus de {limit} millions de caractères",
        "es": "más de {limit} millones de caracteres",
    },
    "binary": {
        "en": "looks like a binary file",
        "fr": "semble être un fichier binaire",
        "es": "parece un archivo binario",
    },
    "too_many": {
        "en": "too many documents are open",
        "fr": "trop de documents sont ouverts",
        "es": "hay demasiados documentos abiertos",
    },
    "stale": {
        "en": "a change from the editor was lost; saving or reopening the file helps",
        "fr": "une modification de l'éditeur a été perdue ; enregistrer ou rouvrir le fichier suffit",
        "es": "se perdió un cambio del editor; guarde o vuelva a abrir el archivo",
    },
    "indexing": {
        "en": "Hearth: reading the project",
        "fr": "Hearth : lecture du projet",
        "es": "Hearth: leyendo el proyecto",
    },
    "indexing_files": {
        "en": "{seen} of {total} files",
        "fr": "{seen} fichiers sur {total}",
        "es": "{seen} de {total} archivos",
    },
    "reindexing": {
        "en": "Hearth reads the whole project again.",
        "fr": "Hearth relit tout le projet.",
        "es": "Hearth vuelve a leer todo el proyecto.",
    },
    "index_off": {
        "en": "Hearth's index is turned off. Set index.enabled to true to use it.",
        "fr": "L'index de Hearth est désactivé. Mettez index.enabled à true pour l'utiliser.",
        "es": "El índice de Hearth está desactivado. Ponga index.enabled en true para usarlo.",
    },
    "status_title": {
        "en": "Hearth: status",
        "fr": "Hearth : état",
        "es": "Hearth: estado",
    },
}
# fmt: on


def language_of(locale: str) -> str:
    """The catalogue's language for a locale such as `fr-CA`; English for all that we do not have."""
    language = locale.replace("_", "-").split("-")[0].lower()
    return language if language in LANGUAGES else "en"


def say(key: str, language: str, **values: object) -> str:
    """One sentence of the catalogue."""
    words = MESSAGES[key][language] if key in MESSAGES else WORDS[key][LANGUAGES.index(language)]
    return words.format(**values)
