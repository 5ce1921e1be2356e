import { Table } from '../parts/table.tsx';
import type { Counts } from './days.ts';

/** What a bar of a chart stands for. */
export interface Share extends Counts {
  /** Where two can have the same name. */
  readonly id?: string;
  readonly name: string;
}

interface ChartProps {
  readonly caption: string;
  /** What the shares are of. */
  readonly of: string;
  readonly shares: readonly Share[];
}

/** A table whose rows have bars: who cannot see them reads the numbers. */
export function Chart({ caption, of, shares }: ChartProps) {
  const most = Math.max(1, ...shares.map(({ inputTokens, outputTokens }) => inputTokens + outputTokens));
  const width = (tokens: number) => ({ inlineSize: `${(tokens / most) * 100}%` });
  return (
    <Table caption={caption} columns={[of, 'Tokens', 'Read', 'Written', 'Model calls']}>
      <tbody>
        {shares.map(({ id, name, inputTokens, outputTokens, modelCalls }) => (
          <tr key={id ?? name}>
            <td dir="auto">{name}</td>
            <td className="chart-cell">
              <span className="chart-bar" aria-hidden="true">
                <span style={width(inputTokens)} />
                <span style={width(outputTokens)} />
              </span>
              <span className="hidden">{(inputTokens + outputTokens).toLocaleString()}</span>
            </td>
            <td className="number">{inputTokens.toLocaleString()}</td>
            <td className="number">{outputTokens.toLocaleString()}</td>
            <td className="number">{modelCalls.toLocaleString()}</td>
          </tr>
        ))}
      </tbody>
    </Table>
  );
}
