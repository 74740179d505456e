// Runs before anything is drawn. No module: modules run later.
// The theme, so that the page never flashes in the other one.
{
  const theme = localStorage.getItem("zitilite.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
}
// Says how the loading goes while nothing else can.
{
  const say = (/** @type {string} */ text) => {
    const words = document.getElementById("loading");
    if (words) words.textContent = text;
    return words;
  };
  setTimeout(() => say("Still loading. The line is slow, or the controller does not answer."), 8000);
  addEventListener(
    "error",
    (event) => {
      if (!(event.target instanceof HTMLScriptElement)) return;
      const words = say("The console could not be loaded: the controller cannot be reached.");
      if (!words || document.getElementById("again")) return;
      const button = document.createElement("button");
      button.id = "again";
      button.textContent = "Try again";
      button.addEventListener("click", () => location.reload());
      words.after(button);
    },
    true,
  );
}
