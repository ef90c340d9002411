// SPDX-License-Identifier: Apache-2.0
#include "host_mesh.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

Mesh::Mesh(int self, std::vector<int> sockets)
    : self_(self), sockets_(std::move(sockets)), lost_(sockets_.size()), out_(sockets_.size()),
      in_(sockets_.size())
{
    for (int fd : sockets_)
        if (fd >= 0)
            fcntl(fd, F_SETFL, O_NONBLOCK);
}

Mesh::~Mesh()
{
    // What is queued still has to leave: a rank that is done must not look like one that was lost.
    auto waits = [this](int r) { return !lost_[r] && !out_[r].empty(); };
    for (int r = 0; r < static_cast<int>(out_.size()); r++)
        for (int turn = 0; turn < 1000 && waits(r); turn++)
            progress(1);
    for (int fd : sockets_)
        if (fd >= 0)
            close(fd);
}

void Mesh::send(int to, const Frame &frame, const void *data)
{
    auto header = reinterpret_cast<const char *>(&frame);
    out_[to].insert(out_[to].end(), header, header + sizeof frame);
    auto bytes = static_cast<const char *>(data);
    out_[to].insert(out_[to].end(), bytes, bytes + frame.bytes);
    flush(to);
}

Mesh::Inbox &Mesh::inbox(std::uint32_t group, std::uint32_t kind, std::int32_t channel, int from)
{
    return inboxes_[std::make_tuple(group, kind, channel, from)];
}

void Mesh::flush(int to)
{
    while (!lost_[to] && !out_[to].empty()) {
        char part[4096];
        std::size_t size = std::min(out_[to].size(), sizeof part);
        std::copy_n(out_[to].begin(), size, part);
        ssize_t went = ::send(sockets_[to], part, size, MSG_NOSIGNAL);
        if (went < 0) {
            if (errno != EAGAIN && errno != EINTR)
                lost_[to] = true;
            return;
        }
        out_[to].erase(out_[to].begin(), out_[to].begin() + went);
    }
}

void Mesh::receive(int from)
{
    char part[65536];
    ssize_t came;
    while ((came = recv(sockets_[from], part, sizeof part, 0)) > 0)
        in_[from].insert(in_[from].end(), part, part + came);
    if (came == 0 || (errno != EAGAIN && errno != EINTR))
        lost_[from] = true;
    std::size_t at = 0;
    Frame frame;
    while (in_[from].size() - at >= sizeof frame) {
        std::memcpy(&frame, &in_[from][at], sizeof frame);
        if (in_[from].size() - at - sizeof frame < frame.bytes)
            break;
        auto begin = in_[from].begin() + static_cast<std::ptrdiff_t>(at + sizeof frame);
        inbox(frame.group, frame.kind, frame.channel, from)
            .emplace_back(begin, begin + static_cast<std::ptrdiff_t>(frame.bytes));
        at += sizeof frame + frame.bytes;
    }
    in_[from].erase(in_[from].begin(), in_[from].begin() + static_cast<std::ptrdiff_t>(at));
}

void Mesh::progress(int milliseconds)
{
    std::vector<pollfd> ready;
    std::vector<int> who;
    for (int r = 0; r < static_cast<int>(sockets_.size()); r++) {
        if (r == self_ || lost_[r])
            continue;
        short events = POLLIN;
        if (!out_[r].empty())
            events |= POLLOUT;
        ready.push_back({sockets_[r], events, 0});
        who.push_back(r);
    }
    if (::poll(ready.data(), ready.size(), milliseconds) <= 0)
        return;
    for (std::size_t i = 0; i < ready.size(); i++) {
        if (ready[i].revents & POLLOUT)
            flush(who[i]);
        if (ready[i].revents & (POLLIN | POLLHUP | POLLERR))
            receive(who[i]);
    }
}

// ------------------------------------------------------------------------------------- a group

namespace
{

Group *of(void *user)
{
    return static_cast<Group *>(user);
}

sluice_status all_gather(void *user, std::int32_t channel, const void *send, void *recv,
                         std::size_t bytes, std::int64_t timeout_ns, std::int32_t *peer)
{
    auto size = static_cast<std::size_t>(of(user)->comm()->size);
    std::vector<const void *> from(size, send);
    std::vector<void *> into(size);
    std::vector<std::size_t> sizes(size, bytes);
    for (std::size_t r = 0; r < size; r++)
        into[r] = static_cast<char *>(recv) + r * bytes;
    return of(user)->all_to_all(channel, from.data(), sizes.data(), into.data(), sizes.data(), true,
                                timeout_ns, peer);
}

sluice_status all_to_all(void *user, std::int32_t channel, const void *const *send,
                         const std::size_t *send_bytes, void *const *recv,
                         const std::size_t *recv_bytes, std::int64_t timeout_ns, std::int32_t *peer)
{
    return of(user)->all_to_all(channel, send, send_bytes, recv, recv_bytes, false, timeout_ns,
                                peer);
}

sluice_status isend(void *user, std::int32_t channel, std::int32_t to, const void *data,
                    std::size_t bytes, std::uint64_t *request)
{
    *request = of(user)->post(channel, to, false, const_cast<void *>(data), bytes);
    return SLUICE_OK;
}

sluice_status irecv(void *user, std::int32_t channel, std::int32_t from, void *data,
                    std::size_t bytes, std::uint64_t *request)
{
    *request = of(user)->post(channel, from, true, data, bytes);
    return SLUICE_OK;
}

sluice_status poll_request(void *user, std::uint64_t request, std::int32_t *done)
{
    return of(user)->poll(request, done);
}

void cancel(void *user, std::int32_t channel)
{
    of(user)->cancel(channel, true);
}

void resume(void *user, std::int32_t channel)
{
    of(user)->cancel(channel, false);
}

} // namespace

Group::Group(Mesh &mesh, std::uint32_t number, std::vector<int> members)
    : mesh_(mesh), number_(number), members_(std::move(members))
{
    for (auto &flag : cancelled_)
        flag = false;
    for (std::size_t i = 0; i < members_.size(); i++)
        if (members_[i] == mesh_.self())
            own_ = static_cast<std::int32_t>(i);
    comm_.struct_size = sizeof comm_;
    comm_.rank = own_;
    comm_.size = static_cast<std::int32_t>(members_.size());
    comm_.user = this;
    comm_.all_gather = ::all_gather;
    comm_.all_to_all = ::all_to_all;
    comm_.isend = isend;
    comm_.irecv = irecv;
    comm_.poll = poll_request;
    comm_.cancel = ::cancel;
    comm_.resume = resume;
}

// Tells all who still wait whom this rank has found lost, so that they give the same answer.
void Group::tell(std::int32_t lost)
{
    verdict_ = lost;
    Mesh::Frame frame{number_, Mesh::kVerdict, 0, 0, sizeof lost};
    for (int member : members_)
        if (member != mesh_.self() && !mesh_.lost(member))
            mesh_.send(member, frame, &lost);
}

// May a wait for rank `waits_for` go on?
sluice_status Group::state(std::int32_t channel, int waits_for, std::int32_t *peer)
{
    for (int member : members_) {
        auto &verdicts = mesh_.inbox(number_, Mesh::kVerdict, 0, member);
        if (verdict_ < 0 && !verdicts.empty())
            std::memcpy(&verdict_, verdicts.front().data(), sizeof verdict_);
    }
    if (verdict_ < 0 && mesh_.lost(members_[waits_for]))
        tell(waits_for);
    *peer = verdict_;
    if (verdict_ >= 0)
        return SLUICE_PEER_LOST;
    return cancelled_[channel] ? SLUICE_CANCELLED : SLUICE_OK;
}

sluice_status Group::take(Mesh::Inbox &inbox, void *data, std::size_t bytes)
{
    std::vector<char> came = std::move(inbox.front());
    inbox.pop_front();
    if (came.size() != bytes)
        return SLUICE_MISMATCH;
    if (bytes)
        std::memcpy(data, came.data(), bytes);
    return SLUICE_OK;
}

sluice_status Group::all_to_all(std::int32_t channel, const void *const *send,
                                const std::size_t *send_bytes, void *const *recv,
                                const std::size_t *recv_bytes, bool empty_too,
                                std::int64_t timeout_ns, std::int32_t *peer)
{
    auto until = std::chrono::steady_clock::now() + std::chrono::nanoseconds(timeout_ns);
    Mesh::Frame frame{number_, Mesh::kCollective, channel, 0, 0};
    for (int r = 0; r < comm_.size; r++) {
        frame.bytes = send_bytes[r];
        if (r != own_ && (empty_too || send_bytes[r]))
            mesh_.send(members_[r], frame, send[r]);
    }
    if (send_bytes[own_])
        std::memmove(recv[own_], send[own_], send_bytes[own_]);
    for (int r = 0; r < comm_.size; r++) {
        if (r == own_ || !(empty_too || recv_bytes[r]))
            continue;
        auto &inbox = mesh_.inbox(number_, Mesh::kCollective, channel, members_[r]);
        while (inbox.empty()) {
            if (sluice_status status = state(channel, r, peer))
                return status;
            if (std::chrono::steady_clock::now() > until) {
                tell(r);
                *peer = r;
                return SLUICE_PEER_LOST;
            }
            mesh_.progress(1);
        }
        if (sluice_status status = take(inbox, recv[r], recv_bytes[r])) {
            *peer = r;
            return status;
        }
    }
    return SLUICE_OK;
}

std::uint64_t Group::post(std::int32_t channel, int peer, bool receives, void *data,
                          std::size_t bytes)
{
    requests_[next_] = Request{channel, peer, receives, data, bytes};
    if (!receives)
        mesh_.send(members_[peer], {number_, Mesh::kMessage, channel, 0, bytes}, data);
    return next_++;
}

sluice_status Group::poll(std::uint64_t request, std::int32_t *done)
{
    const Request what = requests_.at(request);
    mesh_.progress(0);
    auto &inbox = mesh_.inbox(number_, Mesh::kMessage, what.channel, members_[what.peer]);
    std::int32_t peer;
    sluice_status status = SLUICE_OK;
    if (what.receives && !inbox.empty()) {
        status = take(inbox, what.data, what.bytes);
        *done = 1;
    } else if (!what.receives && mesh_.sent(members_[what.peer])) {
        *done = 1;
    } else {
        status = state(what.channel, what.peer, &peer);
        *done = status != SLUICE_OK;
    }
    if (*done)
        requests_.erase(request);
    return status;
}

void Group::cancel(std::int32_t channel, bool on)
{
    for (std::int32_t c = 0; c < 64; c++)
        if (channel == -1 || channel == c)
            cancelled_[c] = on;
}
