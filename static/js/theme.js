// Runs before anything is drawn, so that the page never flashes in the other theme. No module: modules run later.
{
  const theme = localStorage.getItem("zitilite.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
}
