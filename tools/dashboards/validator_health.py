"""validator-health: whether the validators vote, replay and keep up, and what their hosts suffer from."""

from tools.dashboards.model import Board, Row, figure, graph

_HOST = '{host=~"$host"}'
# 0 to 4, as the panel's words.
_STATE = " + ".join(
    f'{number} * max by (host) (solana_validator_status{{host=~"$host", state="{state}"}})'
    for number, state in ((1, "active"), (2, "activating"), (3, "failed"), (4, "unknown"))
)


def _rate(name: str) -> str:
    return f"rate({name}{_HOST}[$__rate_interval])"


def _ahead(name: str) -> str:
    return f"solana_validator_{name}_slot{_HOST} - on (host) solana_validator_root_slot"


_NOW = Row(
    "Now",
    (
        figure(
            "Active",
            "Validators whose unit is active.",
            "none",
            'sum(solana_validator_status{host=~"$host", state="active"})',
        ),
        figure(
            "Not active",
            "Failed, inactive, starting, or not known.",
            "none",
            'sum(solana_validator_status{host=~"$host", state!="active"})',
            (1, 2),
        ),
        figure(
            "Agents away",
            "Of these hosts nothing is known now.",
            "none",
            f"count(solward_host_connected{_HOST}) - sum(solward_host_connected{_HOST})",
            (1, 2),
        ),
        figure(
            "Alerts firing", "ctl alerts lists them.", "none", f"sum(solward_alert_firing{_HOST}) or vector(0)", (1, 5)
        ),
        figure(
            "Lowest root",
            "Of the chosen hosts.",
            "none",
            f"min(solana_validator_root_slot{_HOST})",
        ),
        figure(
            "Vote before root",
            "Slots between the newest vote and the root of the tower: 31 when all is well.",
            "none",
            f"max(solana_validator_tower_vote_slot{_HOST} - solana_validator_tower_root_slot{_HOST})",
            (64, 128),
        ),
    ),
)

_CONSENSUS = Row(
    "Unit and consensus",
    (
        graph(
            "State of the unit",
            "Unknown while the agent is away.",
            "none",
            (_STATE, "{{host}}"),
            kind="states",
            words=("inactive", "active", "activating", "failed", "unknown"),
        ),
        graph(
            "Roots a second",
            "2.5 when the cluster is well.",
            "none",
            (f"deriv(solana_validator_root_slot{_HOST}[2m])", "{{host}}"),
        ),
        graph(
            "Frozen, full and optimistic slots",
            "How far each is before the root.",
            "none",
            (_ahead("frozen"), "{{host}} frozen"),
            (_ahead("full"), "{{host}} full"),
            (_ahead("optimistic"), "{{host}} optimistic"),
        ),
        graph(
            "Vote before root",
            "A vote that stands still costs credits each slot.",
            "none",
            (
                f"solana_validator_tower_vote_slot{_HOST} - on (host) solana_validator_tower_root_slot",
                "{{host}}",
            ),
            steps=(64, 128),
        ),
    ),
)

_REPLAY = Row(
    "Replay and repair",
    (
        graph(
            "Replay of a slot",
            "All of it, and its parts; a slot lasts 0.4 s.",
            "s",
            (f"solana_validator_replay_seconds{_HOST}", "{{host}} all"),
            (f"solana_validator_replay_execute_seconds{_HOST}", "{{host}} execute"),
            (f"solana_validator_replay_fetch_seconds{_HOST}", "{{host}} fetch"),
            steps=(0.4, 0.8),
        ),
        graph(
            "Shreds",
            "Replayed, and what had to be recovered or repaired.",
            "cps",
            (_rate("solana_validator_replayed_shreds_total"), "{{host}} replayed"),
            (_rate("solana_validator_recovered_shreds_total"), "{{host}} recovered"),
            (_rate("solana_validator_repaired_shreds_total"), "{{host}} repaired"),
        ),
        graph(
            "Setting a root",
            "With a snapshot it takes longer.",
            "s",
            (f"solana_validator_set_root_seconds{_HOST}", "{{host}} root"),
            (f"solana_validator_set_root_snapshot_seconds{_HOST}", "{{host}} with a snapshot"),
        ),
        graph(
            "Rooted transactions",
            "A second, votes included.",
            "cps",
            (_rate("solana_validator_rooted_transactions_total"), "{{host}}"),
        ),
    ),
)

_KERNEL = Row(
    "Host",
    (
        graph(
            "Memory available",
            "By the kernel.",
            "percentunit",
            (f"node_memory_available_bytes{_HOST} / node_memory_total_bytes{_HOST}", "{{host}}"),
            steps=(0.1, 0.05),
        ),
        graph(
            "Pressure",
            "Share of time in which something waited for a processor, a disk or memory.",
            "percentunit",
            (_rate("node_pressure_waiting_seconds_total"), "{{host}} {{resource}}"),
            steps=(0.2, 0.5),
        ),
        graph(
            "Packets lost",
            "By the network card, by softnet, and by sockets that were full.",
            "pps",
            (_rate("node_network_receive_drop_total"), "{{host}} {{device}}"),
            (_rate("node_softnet_dropped_total"), "{{host}} softnet"),
            (_rate("node_udp_rcvbuf_errors_total"), "{{host}} UDP receive buffer"),
        ),
        graph(
            "Network",
            "Received, and sent.",
            "Bps",
            (_rate("node_network_receive_bytes_total"), "{{host}} {{device}} in"),
            (_rate("node_network_transmit_bytes_total"), "{{host}} {{device}} out"),
        ),
        graph("Load", "Of one minute.", "none", (f"node_load1{_HOST}", "{{host}}")),
        graph(
            "Disks busy",
            "Seconds a second, of all disks together.",
            "percentunit",
            (_rate("node_disk_io_time_seconds_total"), "{{host}}"),
        ),
    ),
)

_GEYSER = Row(
    "Geyser pipelines",
    (
        graph(
            "Pipelines by how they flow",
            "ctl geyser explain PIPELINE names the hop that is at fault.",
            "none",
            ("sum by (flow) (geyser_pipeline_flow)", "{{flow}}"),
        ),
        graph(
            "Behind the node",
            "How far the last rows are behind what the node has seen.",
            "s",
            ("geyser_pipeline_behind_seconds", "{{pipeline}}"),
            steps=(10, 60),
        ),
        graph(
            "What each hop adds",
            "Delay by hop; the tallest is where to look.",
            "s",
            ("geyser_hop_delay_seconds", "{{pipeline}} {{hop}}"),
        ),
        graph(
            "Slots later than the node's own RPC",
            "By Yellowstone stream.",
            "s",
            (f"geyser_slot_delay_seconds{_HOST}", "{{host}} {{source}}"),
        ),
        graph(
            "Consumer lag",
            "Messages that a group has not committed yet.",
            "short",
            (f"sum by (group, topic) (geyser_kafka_lag_messages{_HOST})", "{{group}} {{topic}}"),
        ),
        graph(
            "Rows written a second",
            "By sink and table.",
            "wps",
            (f"geyser_sink_write_rate{_HOST}", "{{source}} {{table}}"),
        ),
    ),
)

BOARD = Board(
    uid="validator-health",
    title="Solward: validator health",
    about="Units, votes, roots, replay and repair of every validator, Geyser pipelines, and the kernel beneath.",
    variables={"host": "label_values(solana_validator_status, host)"},
    rows=(_NOW, _CONSENSUS, _REPLAY, _GEYSER, _KERNEL),
)
