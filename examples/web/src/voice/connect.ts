/** A call that is connected: the channel of its events, and the voice of the agent. */
export interface Connection {
  readonly channel: RTCDataChannel;
  readonly remote: MediaStream;
  close(): void;
}

/** Longer than this, nobody waits for a provider, in milliseconds. */
const maxWaitMs = 15_000;

/**
 * Begins a call by WebRTC.
 * @param url where the provider takes an offer (SDP) and returns its answer
 * @param key the ephemeral key of the session
 * @throws if the provider cannot be reached or refuses
 */
export async function connect(url: string, key: string, microphone: MediaStream): Promise<Connection> {
  const peer = new RTCPeerConnection();
  try {
    const remote = new MediaStream();
    peer.ontrack = ({ track }) => remote.addTrack(track);
    for (const track of microphone.getAudioTracks()) peer.addTrack(track, microphone);
    const channel = peer.createDataChannel('oai-events');
    await peer.setLocalDescription(await peer.createOffer());
    const response = await fetch(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/sdp' },
      body: peer.localDescription?.sdp ?? '',
      signal: AbortSignal.timeout(maxWaitMs),
    });
    if (!response.ok) throw new Error(`The provider refused the call (status ${response.status}).`);
    await peer.setRemoteDescription({ type: 'answer', sdp: await response.text() });
    return { channel, remote, close: () => peer.close() };
  } catch (error) {
    peer.close();
    throw error;
  }
}
