// SPDX-License-Identifier: Apache-2.0
// The transport of the C++ host: a socket to every other process, and groups of processes that
// offer the callbacks of sluice_comm over it.
#ifndef HOST_MESH_H
#define HOST_MESH_H

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <tuple>
#include <vector>

#include "../../plugin.h"

// Frames between two processes, in order. Used by one thread; a lost peer is one whose socket has
// ended.
class Mesh
{
  public:
    // sockets[r] is that to process r, -1 for itself.
    Mesh(int self, std::vector<int> sockets);
    ~Mesh();

    enum Kind : std::uint32_t { kCollective = 1, kMessage = 2, kVerdict = 3 };
    struct Frame {
        std::uint32_t group, kind;
        std::int32_t channel;
        std::uint32_t reserved;
        std::uint64_t bytes;
    };
    using Inbox = std::deque<std::vector<char>>;

    int self() const
    {
        return self_;
    }
    // Queues a frame; a copy of the data is kept until the socket takes it.
    void send(int to, const Frame &frame, const void *data);
    // True when everything for `to` has been handed to its socket.
    bool sent(int to) const
    {
        return out_[to].empty();
    }
    // Moves what can be moved; waits for at most that long until something can.
    void progress(int milliseconds);
    Inbox &inbox(std::uint32_t group, std::uint32_t kind, std::int32_t channel, int from);
    bool lost(int peer) const
    {
        return lost_[peer];
    }

  private:
    void receive(int from);
    void flush(int to);

    int self_;
    std::vector<int> sockets_;
    std::vector<bool> lost_;
    std::vector<std::deque<char>> out_;
    std::vector<std::vector<char>> in_;
    std::map<std::tuple<std::uint32_t, std::uint32_t, std::int32_t, int>, Inbox> inboxes_;
};

// Some processes that talk: rank i of the group is process members[i]. Frames carry the group's
// number, so that what an earlier group left in the sockets is not taken for an answer.
class Group
{
  public:
    Group(Mesh &mesh, std::uint32_t number, std::vector<int> members);
    const sluice_comm *comm() const
    {
        return &comm_;
    }

    sluice_status all_to_all(std::int32_t channel, const void *const *send,
                             const std::size_t *send_bytes, void *const *recv,
                             const std::size_t *recv_bytes, bool empty_too, std::int64_t timeout_ns,
                             std::int32_t *peer);
    std::uint64_t post(std::int32_t channel, int peer, bool receives, void *data,
                       std::size_t bytes);
    sluice_status poll(std::uint64_t request, std::int32_t *done);
    void cancel(std::int32_t channel, bool on);

  private:
    struct Request {
        std::int32_t channel;
        int peer;
        bool receives;
        void *data;
        std::size_t bytes;
    };
    sluice_status state(std::int32_t channel, int waits_for, std::int32_t *peer);
    sluice_status take(Mesh::Inbox &inbox, void *data, std::size_t bytes);
    void tell(std::int32_t lost);

    Mesh &mesh_;
    std::uint32_t number_;
    std::vector<int> members_;
    sluice_comm comm_{};
    std::int32_t own_ = 0;
    std::int32_t verdict_ = -1; // the rank that somebody has found lost
    std::atomic<bool> cancelled_[64];
    std::map<std::uint64_t, Request> requests_;
    std::uint64_t next_ = 1;
};

#endif
