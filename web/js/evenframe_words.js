// Lets the widgets speak the language that the editor is set to.

import { api } from "../../../scripts/api.js";
import { app } from "../../../scripts/app.js";
import { speak } from "./lib/words.js";

app.registerExtension({
  name: "evenframe.Words",

  // Before any node is made.
  async init() {
    const language = app.extensionManager.setting.get("Comfy.Locale");
    if (language === "en") return;
    const told = await api.fetchApi("/i18n").then((answer) => answer.json(), () => ({}));
    speak(told[language]?.evenframe ?? {});
  },
});
