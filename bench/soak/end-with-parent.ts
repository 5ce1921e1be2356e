import { endWithParent } from '../rpc.ts';

// Imported into the server by the soak: it must not be left behind if the soak itself is killed.
endWithParent();
