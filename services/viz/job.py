"""The viz stage: read a finished backtest, set its report, commit."""

from dataclasses import replace

from services.viz.adapters import inputs, page, pictures, tables
from services.viz.domain import sheet
from services.viz.domain.charts import chart_data
from services.viz.domain.curve import curve_metrics
from services.viz.domain.run import Run, SymbolRun
from tickloom.contracts.artifact import FileEntry, Manifest
from tickloom.contracts.calls import request_of
from tickloom.contracts.events import StageCall
from tickloom.contracts.viz import VERSION, VizRequest
from tickloom.http import Report
from tickloom.lake import Lake, open_lake

STAGE = "viz"


class VizJob:
    """Draws the report of a backtest: report.html, equity.png, drawdown.png, summary.csv, results.json."""

    def __init__(self, lake: Lake | None = None) -> None:
        self._lake = lake

    def run(self, call: StageCall, report: Report) -> Manifest:
        """Make the report and return its manifest; at once when it exists.

        Raises InvalidRequest, UnknownArtifact, UnknownFile, CorruptFile, and UnreadableRun when the input is not a
        backtest or its parts do not fit together.
        """
        lake = self._lake or open_lake()
        request = request_of(call, STAGE, VizRequest, "a report is drawn of one backtest")
        if found := lake.find(call.artifact_id):
            return found
        links = inputs.chain(lake, lake.manifest(call.inputs[0]))
        symbols = self._read(lake, links, report)
        run = replace(inputs.read_run(lake, links, symbols, request.earlier()), probe=request.probe)
        files = self._draw(lake, run, request, call.artifact_id, report)
        title = sheet.title(run, request.title)
        return lake.put_manifest(
            Manifest(
                id=call.artifact_id,
                stage=STAGE,
                version=VERSION,
                request=request.canonical(),
                inputs=call.inputs,
                files=tuple(files),
                facts={"title": title, "symbols": [one.symbol for one in symbols], "open": "report.html"},
            )
        )

    def _read(self, lake: Lake, links: list[Manifest], report: Report) -> list[SymbolRun]:
        symbols = []
        n_symbols = len(links[-1].under("equity/"))
        rows = 0
        report.progress(0, n_symbols + 2, message="reading the run")
        for one in inputs.read_symbols(lake, links):
            symbols.append(one)
            rows += len(one.bars.ts_close)
            report.progress(len(symbols), n_symbols + 2, rows, f"read {one.symbol}")
        return symbols

    def _draw(self, lake: Lake, run: Run, request: VizRequest, artifact_id: str, report: Report) -> list[FileEntry]:
        total = len(run.symbols) + 2
        rows = sum(len(one.bars.ts_close) for one in run.symbols)
        title = sheet.title(run, request.title)
        backtest = run.request("backtest")
        charts = [chart_data(one, request.max_candles) for one in run.symbols]
        html = page.render(sheet.sheet(run, request.title, artifact_id), charts, backtest["objective"])
        report.progress(total - 1, total, rows, "drew report.html")
        cash = float(backtest["initial_cash"])
        held = {one.symbol: curve_metrics(one.curve.ts, one.curve.buy_and_hold, cash) for one in run.symbols}
        n_trials = sum(len(one.trials.combo) for one in run.symbols)
        files = [
            lake.add_bytes("report.html", html),
            lake.add_bytes("equity.png", pictures.equity_picture(run.symbols, title)),
            lake.add_bytes("drawdown.png", pictures.drawdown_picture(run.symbols, title)),
            lake.add_bytes("summary.csv", tables.summary_csv(run.symbols), rows=n_trials),
            lake.add_bytes("results.json", tables.results_json(run, title, held)),
        ]
        report.progress(total, total, rows, "drew the pictures and tables")
        return files
