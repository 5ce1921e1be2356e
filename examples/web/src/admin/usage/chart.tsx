import { Table } from '../parts/table.tsx';

/** What a bar of a chart stands for. */
export interface Share {
  /** Tells it apart from others, which may have the same name. */
  readonly id: string;
  readonly name: string;
  readonly modelCalls: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

interface ChartProps {
  readonly caption: string;
  /** What the shares are of. */
  readonly of: string;
  readonly shares: readonly Share[];
}

/** A table whose rows have bars with their figures: who cannot see them reads the numbers. */
export function Chart({ caption, of, shares }: ChartProps) {
  const most = Math.max(1, ...shares.map(({ inputTokens, outputTokens }) => inputTokens + outputTokens));
  const width = (tokens: number) => ({ inlineSize: `${(tokens / most) * 100}%` });
  if (shares.length === 0)
    return <p className="muted">No tokens were used. Ask something in the chat, and they are here.</p>;
  return (
    <>
      <ul className="legend" aria-hidden="true">
        <li data-part="read">read</li>
        <li data-part="written">written</li>
      </ul>
      <Table
        caption={caption}
        columns={[of, 'Tokens', 'Read', 'Written', 'Model calls']}
        numbers={['Read', 'Written', 'Model calls']}
      >
        <tbody>
          {shares.map(({ id, name, inputTokens, outputTokens, modelCalls }) => (
            <tr key={id}>
              <th className="chart-name" scope="row" dir="auto">
                {name}
              </th>
              <td className="chart-cell">
                <div className="chart">
                  <span className="chart-bar" aria-hidden="true">
                    <span data-part="read" style={width(inputTokens)} />
                    <span data-part="written" style={width(outputTokens)} />
                  </span>
                  <span className="chart-figure">{(inputTokens + outputTokens).toLocaleString()}</span>
                </div>
              </td>
              <td className="number">{inputTokens.toLocaleString()}</td>
              <td className="number">{outputTokens.toLocaleString()}</td>
              <td className="number">{modelCalls.toLocaleString()}</td>
            </tr>
          ))}
        </tbody>
      </Table>
    </>
  );
}
