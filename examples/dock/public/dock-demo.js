// What a page does to have the dock. Your page asks its own back end for the token of its user.
const dock = document.querySelector('switchboard-dock');
dock.token = async () => {
  const page = await fetch('/dock').then((response) => response.text());
  const { content } = new DOMParser()
    .parseFromString(page, 'text/html')
    .querySelector('meta[name="switchboard-token"]');
  return content;
};
dock.context = () => ({
  // Without its query: that may hold what is for no model.
  page: `${location.origin}${location.pathname} – ${document.title}`,
  recordIds: ['order:1042'],
  data: { note: document.querySelector('#note').value },
});
