import { Dock } from './dock.ts';

// `npm start` serves it as /dock.js.
if (customElements.get('switchboard-dock') === undefined) customElements.define('switchboard-dock', Dock);
