"""The words of commands, questions and pages, in the languages of the editor: English, French, Spanish."""

WORDS: dict[str, tuple[str, str, str]] = {
    "nothing": ("nothing", "rien", "nada"),
    "no_engine": (
        "Hearth is still starting, or could not start. Try again in a moment; Hearth: Show the Log says more.",
        "Hearth démarre encore, ou n'a pas pu démarrer. Réessayez dans un instant ; le journal de Hearth en dit plus.",
        "Hearth aún está arrancando o no pudo arrancar. Inténtelo en un momento; el registro de Hearth dice más.",
    ),
    "no_input": (
        'This editor cannot ask for a text. Give it as the command\'s argument: {{"prompt": "..."}}.',
        'Cet éditeur ne peut pas demander un texte. Donnez-le en argument de la commande : {{"prompt": "..."}}.',
        'Este editor no puede pedir un texto. Páselo como argumento de la orden: {{"prompt": "..."}}.',
    ),
    "no_document": (
        "Open a file first: this command works on the code at the cursor.",
        "Ouvrez d'abord un fichier : cette commande porte sur le code au curseur.",
        "Abra primero un archivo: esta orden trabaja con el código en el cursor.",
    ),
    "no_conversation": (
        "There is no conversation yet. Start one with Hearth: Ask.",
        "Il n'y a pas encore de conversation. Commencez avec Hearth : Demander.",
        "Todavía no hay ninguna conversación. Empiece con Hearth: Preguntar.",
    ),
    "ask_prompt": ("Ask Hearth", "Demander à Hearth", "Preguntar a Hearth"),
    "ask_placeholder": (
        "A question; @file @folder @symbol @codebase @diagnostics @git @selection add context",
        "Une question ; @file @folder @symbol @codebase @diagnostics @git @selection ajoutent du contexte",
        "Una pregunta; @file @folder @symbol @codebase @diagnostics @git @selection añaden contexto",
    ),
    "refactor_prompt": ("How to refactor this?", "Comment remanier ce code ?", "¿Cómo refactorizar esto?"),
    "refactor_placeholder": (
        "An instruction, e.g. split into two functions",
        "Une consigne, p. ex. couper en deux fonctions",
        "Una instrucción, p. ej. dividir en dos funciones",
    ),
    "refactor_own": ("In your own words…", "Avec vos propres mots…", "Con sus propias palabras…"),
    "reply_prompt": ("Reply to: {title}", "Répondre à : {title}", "Responder a: {title}"),
    "pick_model": ("Which model should answer?", "Quel modèle doit répondre ?", "¿Qué modelo debe responder?"),
    "pick_auto": ("Automatic", "Automatique", "Automático"),
    "pick_auto_why": (
        "your own models first; the cloud only where allowed and needed",
        "vos propres modèles d'abord ; le nuage seulement si permis et nécessaire",
        "primero sus propios modelos; la nube solo si se permite y hace falta",
    ),
    "pick_local": ("Only my own models", "Seulement mes propres modèles", "Solo mis propios modelos"),
    "pick_local_why": ("nothing leaves", "rien ne sort", "nada sale"),
    "pick_cloud_why": (
        "in the cloud: asks before it sends",
        "dans le nuage : demande avant d'envoyer",
        "en la nube: pregunta antes de enviar",
    ),
    "pick_machine": ("on this machine", "sur cette machine", "en esta máquina"),
    "picked": (
        "Hearth: {label} answers from now on.",
        "Hearth : {label} répond désormais.",
        "Hearth: {label} responde desde ahora.",
    ),
    "pick_conversation": ("Conversations", "Conversations", "Conversaciones"),
    "pick_search": (
        "Words to look for, or choose one",
        "Mots à chercher, ou choisissez",
        "Palabras que buscar, o elija una",
    ),
    "no_such_conversation": (
        "No conversation has all of these words.",
        "Aucune conversation n'a tous ces mots.",
        "Ninguna conversación tiene todas esas palabras.",
    ),
    "delete_sure": (
        "Delete this conversation? It cannot be brought back.",
        "Supprimer cette conversation ? C'est définitif.",
        "¿Eliminar esta conversación? No se puede recuperar.",
    ),
    "delete": ("Delete", "Supprimer", "Eliminar"),
    "deleted": ("The conversation is deleted.", "La conversation est supprimée.", "La conversación se ha eliminado."),
    # Lenses
    "lens_stop": ("Stop", "Arrêter", "Detener"),
    "lens_reply": ("Reply", "Répondre", "Responder"),
    "lens_apply": ("Apply", "Appliquer", "Aplicar"),
    "lens_copy": ("Copy", "Copier", "Copiar"),
    "lens_retry": ("Another Model", "Autre modèle", "Otro modelo"),
    "lens_export": ("Export", "Exporter", "Exportar"),
    "lens_undo": ("Hearth changed this: Undo", "Modifié par Hearth : annuler", "Cambiado por Hearth: deshacer"),
    "lens_undo_page": ("Undo the Change", "Annuler la modification", "Deshacer el cambio"),
    "lens_keep": ("Keep", "Garder", "Conservar"),
    "lens_show": ("Show the Answer", "Voir la réponse", "Ver la respuesta"),
    # Code actions
    "action_explain": ("Hearth: explain", "Hearth : expliquer", "Hearth: explicar"),
    "action_fix": ('Hearth: fix "{problem}"', "Hearth : corriger « {problem} »", 'Hearth: corregir "{problem}"'),
    "action_refactor": ("Hearth: refactor…", "Hearth : remanier…", "Hearth: refactorizar…"),
    "action_offer": ("Hearth: {title}", "Hearth : {title}", "Hearth: {title}"),
    "action_test": ("Hearth: write tests", "Hearth : écrire des tests", "Hearth: escribir pruebas"),
    "action_document": ("Hearth: document", "Hearth : documenter", "Hearth: documentar"),
    # Edits
    "edit_confirm": (
        "Look at each change; ticked ones are made.",
        "Regardez chaque modification ; celles cochées sont faites.",
        "Revise cada cambio; se hacen los marcados.",
    ),
    "edit_conflict": (
        "{files} changed while the answer was written, so nothing was applied. Reply in the conversation to have it "
        "done again on what is there now.",
        "{files} a changé pendant la réponse : rien n'a été appliqué. Répondez dans la conversation pour recommencer "
        "sur le texte actuel.",
        "{files} cambió mientras se escribía la respuesta, así que no se aplicó nada. Responda en la conversación para "
        "repetirlo sobre el texto actual.",
    ),
    "edit_exists": (
        "{files} exists already, so nothing was applied.",
        "{files} existe déjà : rien n'a été appliqué.",
        "{files} ya existe, así que no se aplicó nada.",
    ),
    "edit_refused": (
        "The editor did not apply the change: it was declined, or the file cannot be written. Nothing changed; Apply "
        "in the conversation tries again.",
        "L'éditeur n'a pas appliqué la modification : refusée, ou fichier non modifiable. Rien n'a changé ; Appliquer "
        "dans la conversation réessaie.",
        "El editor no aplicó el cambio: se rechazó o el archivo no se puede escribir. Nada cambió; Aplicar en la "
        "conversación lo intenta de nuevo.",
    ),
    "edit_no_files": (
        "This editor cannot create or delete files for Hearth, so nothing was applied.",
        "Cet éditeur ne peut pas créer ou supprimer de fichiers pour Hearth : rien n'a été appliqué.",
        "Este editor no puede crear ni eliminar archivos para Hearth, así que no se aplicó nada.",
    ),
    "edit_nothing": ("There is nothing to apply.", "Il n'y a rien à appliquer.", "No hay nada que aplicar."),
    "edit_already": (
        "This is done already: nothing to change.",
        "C'est déjà fait : rien à modifier.",
        "Ya está hecho: no hay nada que cambiar.",
    ),
    "undo_none": (
        "There is no change of Hearth's to undo.",
        "Aucune modification de Hearth à annuler.",
        "No hay ningún cambio de Hearth que deshacer.",
    ),
    "undo_done": ("Undone: {files}.", "Annulé : {files}.", "Deshecho: {files}."),
    "undo_conflict": (
        "{files} changed since, so it was not overwritten. The editor's own undo steps back one by one.",
        "{files} a changé depuis et n'a pas été écrasé. L'annulation de l'éditeur revient pas à pas.",
        "{files} cambió después y no se ha sobrescrito. El deshacer del editor retrocede paso a paso.",
    ),
    "fix_gone": (
        "Hearth: the problem is gone.",
        "Hearth : le problème a disparu.",
        "Hearth: el problema ha desaparecido.",
    ),
    "fix_left": (
        "Hearth: the problem is still there: {problem}",
        "Hearth : le problème est toujours là : {problem}",
        "Hearth: el problema sigue ahí: {problem}",
    ),
    "fix_new": (
        "Hearth: the fix brought a new problem: {problem}",
        "Hearth : la correction apporte un nouveau problème : {problem}",
        "Hearth: la corrección trae un problema nuevo: {problem}",
    ),
    "undo": ("Undo", "Annuler", "Deshacer"),
    "keep": ("Keep", "Garder", "Conservar"),
    # Consent
    "consent_title": ("What would be sent", "Ce qui serait envoyé", "Lo que se enviaría"),
    "consent_send": ("Send to {model} at {host}?", "Envoyer à {model} chez {host} ?", "¿Enviar a {model} en {host}?"),
    "consent_behind": (
        "If it does not answer: {models}.",
        "S'il ne répond pas : {models}.",
        "Si no responde: {models}.",
    ),
    "consent_what": (
        "{what}: {size}, about {tokens} tokens.",
        "{what} : {size}, environ {tokens} jetons.",
        "{what}: {size}, unos {tokens} tokens.",
    ),
    "consent_masked": ("Masked: {masked}.", "Masqué : {masked}.", "Enmascarado: {masked}."),
    "consent_price": (
        "Price: {price} ({left} of today's budget left).",
        "Prix : {price} (reste {left} du budget du jour).",
        "Precio: {price} (quedan {left} del presupuesto de hoy).",
    ),
    "consent_retention": ("Only {retention}.", "Seulement : {retention}.", "Solo: {retention}."),
    "consent_why": ("Why: {why}.", "Pourquoi : {why}.", "Por qué: {why}."),
    "consent_shown": (
        "The exact text is open beside.",
        "Le texte exact est ouvert à côté.",
        "El texto exacto está abierto al lado.",
    ),
    "consent_sources": ("From", "Provenance", "Procedencia"),
    "consent_exact": ("Exactly this", "Exactement ceci", "Exactamente esto"),
    # The ledger
    "egress_title": ("What left this machine", "Ce qui a quitté cette machine", "Lo que salió de esta máquina"),
    "egress_none": (
        "Nothing has left this machine.",
        "Rien n'a quitté cette machine.",
        "Nada ha salido de esta máquina.",
    ),
    "egress_of_file": ("Of {file}", "De {file}", "De {file}"),
    "egress_none_of_file": (
        "Nothing of {file} ever left.",
        "Rien de {file} n'est jamais sorti.",
        "Nada de {file} ha salido nunca.",
    ),
    "egress_all": ("All", "Tout", "Todo"),
    "egress_tokens": ("{count} tokens", "{count} jetons", "{count} tokens"),
    "egress_older": (
        "and {count} older ones: `hearth ledger list`.",
        "et {count} plus anciennes : `hearth ledger list`.",
        "y {count} más antiguas: `hearth ledger list`.",
    ),
    "egress_more": (
        "`hearth ledger verify` checks that nothing of this was changed.",
        "`hearth ledger verify` vérifie que rien n'a été modifié.",
        "`hearth ledger verify` comprueba que nada se ha modificado.",
    ),
    "egress_request": ("Request {number}", "Requête {number}", "Petición {number}"),
    "egress_exact": ("The exact bytes", "Les octets exacts", "Los bytes exactos"),
    "egress_cut": (
        "Cut here; all of it: `hearth ledger show {number}`.",
        "Coupé ici ; en entier : `hearth ledger show {number}`.",
        "Cortado aquí; completo: `hearth ledger show {number}`.",
    ),
    # Status and costs
    "status_completion": ("Suggestions", "Suggestions", "Sugerencias"),
    "status_index": ("Index of the project", "Index du projet", "Índice del proyecto"),
    "status_problems": ("Problems", "Problèmes", "Problemas"),
    "status_servers": ("Model servers", "Serveurs de modèles", "Servidores de modelos"),
    "status_no_server": ("None was found.", "Aucun n'a été trouvé.", "No se encontró ninguno."),
    "status_servers_head": (
        "server|state|model|address|problem",
        "serveur|état|modèle|adresse|problème",
        "servidor|estado|modelo|dirección|problema",
    ),
    "status_counted": ("Counted since the start", "Compté depuis le démarrage", "Contado desde el arranque"),
    "status_prefix": (
        "The servers did not have to read {saved} prompt tokens again{share}.",
        "Les serveurs n'ont pas eu à relire {saved} jetons{share}.",
        "Los servidores no tuvieron que volver a leer {saved} tokens{share}.",
    ),
    "status_costs": ("Costs", "Coûts", "Costes"),
    "status_all": ("Everything", "Tout", "Todo"),
    "costs_none": (
        "Nothing has left this machine, so nothing was spent.",
        "Rien n'est sorti, donc rien n'a été dépensé.",
        "Nada ha salido, así que no se ha gastado nada.",
    ),
    "costs_heads": ("day|model|feature", "jour|modèle|fonction", "día|modelo|función"),
    "costs_columns": (
        "requests|bytes|tokens read|cached|written|USD",
        "requêtes|octets|jetons lus|en cache|écrits|USD",
        "peticiones|bytes|tokens leídos|en caché|escritos|USD",
    ),
    "costs_total": (
        "In all **{cost} USD** for {requests} requests.",
        "En tout **{cost} USD** pour {requests} requêtes.",
        "En total **{cost} USD** por {requests} peticiones.",
    ),
    "costs_unknown": (
        "Of some no cost is known; the forecast for these was {cost} USD.",
        "Pour certaines le coût est inconnu ; prévision : {cost} USD.",
        "De algunas no se conoce el coste; la previsión era {cost} USD.",
    ),
    "costs_cache": (
        "Prefix caching saved {cost} USD.",
        "Le cache de préfixe a économisé {cost} USD.",
        "La caché de prefijos ahorró {cost} USD.",
    ),
    "costs_subscriptions": (
        "This month: {month} USD. A month by subscription instead, at list prices of 2025 before tax: {others}.",
        "Ce mois-ci : {month} USD. Par abonnement, aux prix publics de 2025 hors taxe : {others}.",
        "Este mes: {month} USD. Por suscripción, a precios de lista de 2025 sin impuestos: {others}.",
    ),
}
