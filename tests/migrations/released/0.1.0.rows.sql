INSERT INTO collections (name, chunks, words, last_chunk_id) VALUES ('knowledge', 1, 3, 1);
INSERT INTO collection_grants (collection_id, platform) SELECT id, 'slack' FROM collections;
INSERT INTO term_statistics (collection_id, lexeme, chunks) SELECT id, 'badg', 1 FROM collections;
INSERT INTO sources (collection_id, uri, kind) SELECT id, 'handbook', 'folder' FROM collections;
INSERT INTO embedding_models (name, dimensions) VALUES ('local:model', 384);
INSERT INTO documents (source_id, uri, title, content_hash, embedding_model_id, chunks)
    SELECT s.id, 'handbook/badges.md', 'Badges', 'hash', m.id, 1 FROM sources s, embedding_models m;
INSERT INTO chunks (document_id, collection_id, position, title, heading_path, text, start_offset, end_offset, words)
    SELECT d.id, c.id, 0, 'Badges', '["Badges"]', 'A lost badge is replaced.', 0, 25, 5 FROM documents d, collections c;
INSERT INTO inbox (platform, workspace, channel, order_key, delivery_id, message_id, kind, event)
    VALUES ('console', 'W1', 'C1', 'T1', 'old-d1', 'old-m1', 'message_posted', '{}'),
           ('console', 'W1', 'C1', 'T1', 'old-d2', 'old-m2', 'message_posted', '{}');
INSERT INTO inbox (platform, workspace, channel, order_key, delivery_id, message_id, kind, state, ended_as, finished_at)
    VALUES ('console', 'W1', 'C1', 'T0', 'old-d0', 'old-m0', 'message_posted', 'done', 'answered', now());
INSERT INTO turns (id, platform, workspace, channel, thread_id, question_message_id, author_id, outcome, question,
        answer, record, asked_at, answered_at)
    VALUES ('00000000-0000-0000-0000-000000000001', 'console', 'W1', 'C1', 'T0', 'old-m0', 'U1', 'answered', 'Where?',
        'There.', '{}', now(), now());
INSERT INTO outbox (id, turn_id, platform, workspace, channel, channel_private, thread_id, purpose, part, state, message_id)
    VALUES ('00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-000000000001', 'console', 'W1', 'C1',
        false, 'T0', 'answer', 0, 'sent', 'r0');
INSERT INTO feedback (turn_id, author, platform, workspace, rating, via, at)
    VALUES ('00000000-0000-0000-0000-000000000001', 'U1', 'console', 'W1', 1, 'button', now());
INSERT INTO thread_summaries (platform, workspace, channel, thread_id, summary, turns, through_position)
    VALUES ('console', 'W1', 'C1', 'T0', 'They asked where.', 1, 1);
INSERT INTO message_tombstones (platform, workspace, channel, message_id, turn_id)
    VALUES ('console', 'W1', 'C1', 'm9', '00000000-0000-0000-0000-000000000009');
INSERT INTO installations (platform, workspace, data) VALUES ('slack', 'T1', '{}');
INSERT INTO installation_states (platform, state, expires_at) VALUES ('slack', 's', now());
